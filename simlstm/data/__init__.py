"""Data: sentence pairs from files and from the demo corpus, and batches of them."""
