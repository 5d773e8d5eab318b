"""Word vectors: models whose result is a table, a vector for each word."""
