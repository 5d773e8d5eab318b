"""Words as numbers."""
