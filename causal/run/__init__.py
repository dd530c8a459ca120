"""Running causal experiments: configuration, plan, tables, verdicts."""
