"""The networks and their tasks: the one-layer transformer, the MLP, the closed form, and the factored forward."""
