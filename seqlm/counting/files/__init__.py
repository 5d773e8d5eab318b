"""Count files."""
