"""Byte-pair encoding: merges learned from text, and left out at random."""
