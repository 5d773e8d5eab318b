"""Labels of sentences from a labeler."""
