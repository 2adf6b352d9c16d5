"""Sweepers for Hydra, which looks for them in hydra_plugins alone."""
