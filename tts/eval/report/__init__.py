"""Writes `W/report`: `results.json`, tables, pages of search trees, `index.html` (`report.write`)."""
