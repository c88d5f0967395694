"""What a network is: values, and the one lowering that everything else reads."""
