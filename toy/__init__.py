"""The known circuit: shared mathematics (Fourier, regression, hooks) and the grokking transformer."""
