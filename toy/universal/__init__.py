"""A toy of its own: one network for every modulus."""
