"""Which heads and MLPs write a circle, read it, and route the modulus."""
