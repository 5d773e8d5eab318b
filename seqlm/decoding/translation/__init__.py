"""Decoding of translators: lines in, translations out, with alignments."""
