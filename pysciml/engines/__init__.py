"""Engines: what turns a request into numbers."""
