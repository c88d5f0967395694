"""The stages of a derivation, one file each; ``pipeline`` puts them in a row."""
