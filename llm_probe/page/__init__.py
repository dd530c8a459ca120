"""What a person sees: the page, the table on the terminal and the figures."""
