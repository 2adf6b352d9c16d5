"""isogain's part in Hydra: plugins have to lie in this package, and nothing heavy is imported with them."""
