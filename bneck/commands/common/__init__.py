"""What several commands share: their options, what they print, and the runs that they open."""
