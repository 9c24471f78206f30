"""Models: configuration, encoder, poolings, heads, the Siamese model, and checkpoints."""
