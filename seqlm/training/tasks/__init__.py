"""What a task says of its text, batches and validation."""
