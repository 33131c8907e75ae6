"""Decoded arrays -> images."""
