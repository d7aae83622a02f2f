"""The paper's claims, written down before the test split is opened, and whether they held."""
