"""Callbacks: when to measure, on which batch, under which name; the numbers come from `diagnostics`."""
