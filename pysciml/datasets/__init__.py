"""The only room that makes Datasets, and reads them."""
