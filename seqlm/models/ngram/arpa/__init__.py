"""ARPA files, the format of n-gram models that every toolkit reads: reading and writing them."""
