"""How many threads compute one model call."""

import torch

_LARGE = 512


class Threads:
    """All cores for a large model call, one less for a small one.

    Small calls come one after the other while the server's own process reads and writes: threads that wait for one
    another on a core that it holds wait for its whole time slice. On two cores, single pairs were a tenth to a fifth
    faster on one thread, and requests of 32 pairs half as fast again on two.

    Args:
        given: as many whatever the call; None to choose.
    """

    def __init__(self, given: int | None) -> None:
        cores = torch.get_num_threads()
        self._large = given or cores
        self._small = given or max(1, cores - 1)
        self._now = self._small
        torch.set_num_threads(self._small)

    def fit(self, tokens: int) -> None:
        """Choose for a call of so many tokens."""
        wanted = self._large if tokens >= _LARGE else self._small
        if wanted != self._now:
            torch.set_num_threads(wanted)
            self._now = wanted
