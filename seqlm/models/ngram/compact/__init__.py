"""n-grams in a third of the memory: bits instead of bytes, and codes instead of numbers."""
