"""The reference model, whose circles are known: its recipe, training, card and weights."""
