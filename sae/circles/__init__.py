"""Circles in sparse features: latents and groups of them, beside planes and random weights."""
