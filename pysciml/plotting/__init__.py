"""Pictures of Datasets and fits. matplotlib is imported when one is drawn."""
