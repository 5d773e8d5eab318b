"""Word vectors in use: the words near a vector, analogies, and how well both agree with people."""
