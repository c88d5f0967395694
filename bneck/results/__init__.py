"""What happened: records, runs, fronts, pictures and reports."""
