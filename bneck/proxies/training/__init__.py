"""How a network is trained, so that it can stop and go on anywhere."""
