"""Scores of networks that are not trained: one file each, on passes that they share."""
