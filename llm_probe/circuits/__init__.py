"""Circuit questions: attention of the answer position, the logit lens, analogies, input matrix, number helix."""
