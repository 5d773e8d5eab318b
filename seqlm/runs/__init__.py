"""A model <-> a run folder."""
