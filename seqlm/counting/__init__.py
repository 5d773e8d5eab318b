"""Text -> n-gram model: counting and smoothing. Using a model needs nothing from here."""
