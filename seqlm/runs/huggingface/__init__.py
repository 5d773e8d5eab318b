"""Folders of the `transformers` library of Hugging Face: models written as such, and read."""
