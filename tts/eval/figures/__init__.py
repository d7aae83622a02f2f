"""The report's figures, by subject; `all_figures.draw` makes them all from `results.json`."""
