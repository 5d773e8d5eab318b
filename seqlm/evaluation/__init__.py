"""A model and text -> numbers."""
