"""Training tasks of the paper."""
