"""Output layers: features to a distribution over the vocabulary."""
