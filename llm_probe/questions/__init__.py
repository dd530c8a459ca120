"""What a model is asked: domains, prompts with their labels, claims, and the tokens they become."""
