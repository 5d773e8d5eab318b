"""Training: batches -> weights."""
