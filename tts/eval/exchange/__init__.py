"""Pretraining against test-time compute: a larger model beside a small one that spends more."""
