"""Encodings side by side, over seeds, at one budget."""
