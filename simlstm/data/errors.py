"""The one error of this package."""


class DataError(ValueError):
    """A file cannot be read as pairs; the message names file, line and column, what came and what is allowed."""
