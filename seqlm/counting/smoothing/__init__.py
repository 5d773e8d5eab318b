"""Smoothing methods: one file each, with its paper and its equation."""
