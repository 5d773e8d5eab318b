"""The words of a text and their surprisal, whatever the tokens of the models."""
