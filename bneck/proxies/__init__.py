"""How good a network is, cheaply: data, training and other accuracy signals."""
