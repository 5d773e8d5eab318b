"""Counts in files: lines of an n-gram, a tab and its count."""
