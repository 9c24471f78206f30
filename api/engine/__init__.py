"""What runs in the worker's process: the only place of the server that computes."""
