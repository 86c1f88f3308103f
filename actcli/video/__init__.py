"""Pixels: this layer knows files and time, not models."""
