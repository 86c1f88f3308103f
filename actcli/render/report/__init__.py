"""Runs as one HTML file that opens offline: no network, no other file, own small script."""
