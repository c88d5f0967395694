"""What is learnt from networks of known accuracy, and tables of such networks."""
