"""A toy of its own: transformers that add numbers of many digits."""
