"""Text: files -> lines -> tokens -> ids."""
