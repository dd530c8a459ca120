"""Mathematics that every package shares: characters of Z_n, least squares both ways, intervals and paired tests."""
