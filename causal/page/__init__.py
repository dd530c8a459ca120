"""Pictures and the section of the page that a causal run adds."""
