"""pysciml."""
