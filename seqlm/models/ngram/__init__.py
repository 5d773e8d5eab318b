"""n-gram models: tables, look-up, pruning and ARPA files."""
