"""Counts to probabilities."""
