"""Several models scored as one, and the weights of each."""
