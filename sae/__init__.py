"""Sparse autoencoders on probed activations: features and groups of features that form circles."""
