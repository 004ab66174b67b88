"""Targets: networks that take their weights from outside, one file each."""
