"""Training sparse autoencoders, saving them, and what each is worth."""
