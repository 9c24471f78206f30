"""The routes, one file per dialect, and the operator's."""
