"""Programs: what a traced model is, and the passes over it. Imports NumPy and the errors only."""
