"""What comes out of one forward pass: residual states, and log-probabilities of answers."""
