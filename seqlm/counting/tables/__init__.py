"""Text to tables of n-gram counts."""
