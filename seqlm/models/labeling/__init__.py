"""Labelers: networks that give the tokens of a sentence, or all of it, their labels."""
