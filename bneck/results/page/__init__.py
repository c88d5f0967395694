"""The report of a run: one HTML page, its data, words and pictures."""
