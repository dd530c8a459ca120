"""From residual states to a verdict: search, confirmation, tests and judgement of a claim."""
