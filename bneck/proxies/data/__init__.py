"""Image sets: what they are, where they come from, and batches of them."""
