"""Hierarchical softmax: words are predicted along the paths of a tree, not told from noise."""
