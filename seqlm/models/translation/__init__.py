"""Encoder-decoders, and what their decoders keep of a source."""
