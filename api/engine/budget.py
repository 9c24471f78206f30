"""How many tokens one model call may hold: less after running out of memory, more again when that stays away."""

import torch

_CALLS_BEFORE_GROWTH = 100
_LEAST = 64


class TokenBudget:
    """Half of what ran out of memory, doubled after a hundred calls that did not, up to what was set.

    Args:
        max_tokens: what was set.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._calls = 0
        self.tokens = max_tokens
        self.halvings = 0

    def halve(self, tokens: int) -> None:
        """Note that memory ran out in a call of so many tokens.

        Both halves of a call that failed may fail again: each says no more than that its own size is too large.
        """
        self.tokens = max(min(_LEAST, self._max_tokens), min(self.tokens, tokens // 2))
        self.halvings += 1
        self._calls = 0

    def succeeded(self) -> None:
        """Note a call that had enough memory."""
        self._calls += 1
        if self._calls >= _CALLS_BEFORE_GROWTH and self.tokens < self._max_tokens:
            self.tokens = min(self._max_tokens, 2 * self.tokens)
            self._calls = 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, of the device or of the machine."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # torch's allocator of the CPU has no exception of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
