"""Interventions: turn, swap or remove a circle that was found and watch the answer."""
