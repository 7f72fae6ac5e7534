"""Densities handed to samplers of others."""
