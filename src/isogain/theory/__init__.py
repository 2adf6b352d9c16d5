"""What mean-field theory predicts of signal and Jacobian: scalars and callables, in float64, no networks."""
