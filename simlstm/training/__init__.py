"""Training: configuration, losses, the loop, and its resumable state."""
