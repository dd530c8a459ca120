"""The questions to a model: domains, prompts with their labels, claims, and the tokens they become."""
