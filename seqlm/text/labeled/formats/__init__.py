"""The formats of labeled text, one in each file: how records are read from it and written in it."""
