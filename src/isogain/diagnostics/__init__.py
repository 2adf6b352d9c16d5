"""Measurements on a network: pure functions that know nothing of training loops or files."""
