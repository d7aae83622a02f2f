"""Writes `W/report`: `results.json`, tables, search trees, `index.html` (`report.write`)."""
