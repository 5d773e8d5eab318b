"""Predicted labels beside gold ones: figures, their intervals, tables of errors."""
