"""Measuring a trained toy: its key frequencies, what depends on them, and how that came about."""
