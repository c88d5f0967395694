"""The commands of the command line, one or two in a file; ``app`` has the table of them."""
