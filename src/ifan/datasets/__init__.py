"""Pictures to train and to evaluate with."""
