"""The audit: what each published number supports by itself, given the search that it came from."""
