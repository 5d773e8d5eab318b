"""Labeled text: sentences whose tokens have tags, and texts that have a label."""
