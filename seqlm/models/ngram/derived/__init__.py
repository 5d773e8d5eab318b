"""n-gram models made of others: pruned, mixed, compact."""
