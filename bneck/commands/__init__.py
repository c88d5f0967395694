"""The commands of the command line, a few to a file; each file has ``register(app)``."""
