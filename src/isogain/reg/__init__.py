"""Regularisers: what keeps a kernel near g times orthogonal, or on it, at four moments of a training step."""
