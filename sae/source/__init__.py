"""What sparse autoencoders are trained on: tokens, streams of states, and made-up states with known circles."""
