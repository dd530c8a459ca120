"""Running that every package shares: cells on disk, files that appear whole, errors, devices."""
