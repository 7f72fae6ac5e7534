"""Equations in the place of a network."""
