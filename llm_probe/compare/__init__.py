"""Runs beside each other: verdicts, differences with intervals, provenance."""
