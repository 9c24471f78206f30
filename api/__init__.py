"""The HTTP server: dialects over one worker that owns the model."""
