"""Mirrors of the record on Weights & Biases, live or offline."""
