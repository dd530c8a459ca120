"""Interventions: rotate, exchange or remove an accepted circle and measure how the answer changes."""
