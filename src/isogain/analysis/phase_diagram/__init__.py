"""What mean-field theory predicts, as a table and as figures: `python -m isogain.theory`."""
