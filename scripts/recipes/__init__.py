"""Recipes: the steps behind a published number, in order, resumable."""
