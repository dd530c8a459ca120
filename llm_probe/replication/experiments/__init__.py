"""The published experiments, run again: their prompt grids, their claims, and the controls that they lacked."""
