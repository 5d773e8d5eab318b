"""Encoder–decoders, and what they keep of a source."""
