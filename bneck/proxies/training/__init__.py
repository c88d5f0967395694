"""Training a network on any device, so that it can be interrupted and resumed."""
