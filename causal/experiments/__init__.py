"""One circle at one place put through every piece of its experiment."""
