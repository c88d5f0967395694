"""Networks as values, and their lowering to layers, which everything else reads."""
