"""Files of squares: sets of images decoded once, mapped into memory by all who train on them."""
