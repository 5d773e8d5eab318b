"""Neural language models, one architecture a file."""
