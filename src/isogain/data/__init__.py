"""Tasks, in memory on the training device: a batch is one indexing operation."""
