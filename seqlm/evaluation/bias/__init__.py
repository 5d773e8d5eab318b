"""Bias of word vectors: measured, removed, and measured again."""
