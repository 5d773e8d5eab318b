"""Training tasks: the text, the batches and the validation of each."""
