"""The processes of one run: what only the first does, what all must agree on, and the sum of their gradients.

Every process holds the whole model and computes the sentences of its share of each batch (`simlstm.training.shares`).
Losses see the whole batch on every process, and gradients are added up, so that a step of N processes is a step of
one, up to the rounding of sums. Files are the first process's business alone: what it does there goes through
`Processes.lead`, which tells the others the result, or that there is none.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn

from simlstm.models.documents import plain

Result = TypeVar("Result")


class PeerError(RuntimeError):
    """Another process of the run has failed or is gone; what it said itself tells why."""


class Processes:
    """The processes of a run, seen from one of them.

    Args:
        rank: Number of this process, from 0; the first one leads.
        count: Number of processes.
        joined: Whether they stand in connection; a process that nobody launched with others is alone.

    Attributes:
        rank: As given.
        count: As given.
    """

    def __init__(self, rank: int = 0, count: int = 1, *, joined: bool = False) -> None:
        self.rank = rank
        self.count = count
        self._joined = joined

    @property
    def leads(self) -> bool:
        """Whether this process writes, measures and decides."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is nobody to talk to."""
        return not self._joined

    def lead(self, work: Callable[[], Result]) -> Result:
        """Let the first process do something, and tell all what came of it.

        Args:
            work: Called on the first process only; returns what JSON can hold.

        Returns:
            The result; on the others, as JSON has it.

        Raises:
            PeerError: On the others, when `work` raised; on the first, the exception itself.
        """
        if self.alone:
            return work()
        if not self.leads:
            message = json.loads(self._broadcast(None))
            if "result" not in message:
                raise PeerError("the first process of the run has failed")
            return message["result"]  # type: ignore[no-any-return]
        try:
            result = work()
            message = json.dumps({"result": plain(result)})
        except BaseException:
            with suppress(PeerError):
                self._broadcast(b"{}")
            raise
        self._broadcast(message.encode())
        return result

    def share_tensors(self, tensors: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """Give all processes the tensors of the first one; the others' argument is not looked at."""
        if self.alone:
            return dict(tensors or {})
        if not self.leads:
            return safetensors.torch.load(self._broadcast(None))
        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in (tensors or {}).items()}
        self._broadcast(safetensors.torch.save(on_cpu))
        return on_cpu

    def ask(self, number: Callable[[], int]) -> Callable[[], int]:
        """Begin to find the largest of a number over all processes, while the caller goes on with other work.

        Args:
            number: Of this process; asked at once, or, by a process alone, when the answer is.

        Returns:
            A function that waits for the answer, the same on all processes.
        """
        if self.alone:
            return number
        largest = torch.tensor([number()])
        with _answered():
            work = dist.all_reduce(largest, dist.ReduceOp.MAX, async_op=True)

        def answer() -> int:
            with _answered():
                work.wait()
            return int(largest)

        return answer

    def gather(self, rows: Tensor, sizes: list[int]) -> list[Tensor]:
        """Collect rows of all processes, without gradients.

        Args:
            rows: [sizes[rank], W], of the same dtype and width everywhere.
            sizes: Number of rows of each process; known to all.

        Returns:
            One tensor [sizes[r], W] for each process r.
        """
        if self.alone:
            return [rows.detach()]
        padded = rows.new_zeros(max(sizes), rows.shape[1])
        padded[: len(rows)] = rows.detach()
        received = [torch.empty_like(padded) for _ in sizes]
        with _answered():
            dist.all_gather(received, padded)
        return [part[:size] for part, size in zip(received, sizes, strict=True)]

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes; a parameter without one has none on any of them.

        Of a sparse gradient only the rows travel that it has.
        """
        if self.alone:
            return
        gradients: list[Tensor] = []
        for parameter in parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = self._sum_of_rows(parameter.grad)
            elif parameter.grad is not None:
                gradients.append(parameter.grad)
        if not gradients:
            return
        total = torch.cat([gradient.flatten() for gradient in gradients])
        with _answered():
            dist.all_reduce(total)
        parts = total.split_with_sizes([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def _sum_of_rows(self, gradient: Tensor) -> Tensor:
        """Add up a sparse gradient [V, I] of each process; the same on all of them."""
        gradient = gradient.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        counts = self.gather(torch.tensor([[len(rows)]], device=rows.device), [1] * self.count)
        sizes = [int(count) for count in counts]
        indices = torch.cat(self.gather(rows[:, None], sizes)).T
        summed = torch.sparse_coo_tensor(indices, torch.cat(self.gather(values, sizes)), gradient.shape)
        return summed.coalesce()

    def seed_of_draws(self, seed: int) -> int:
        """Return the seed of this process's own random draws, such as those of dropout."""
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1, np.uint64)[0])

    def random_states(self, device: torch.device) -> dict[str, Tensor]:
        """Return the states of all processes' random generators: ``cpu`` of the first, ``cpu:1`` of the second."""
        own = {"cpu": torch.get_rng_state()}
        if device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(device)
        states: dict[str, Tensor] = {}
        for name, state in own.items():
            everyones = self.gather(state[:, None], [len(state)] * self.count)
            states |= {self._key(name, rank): each[:, 0] for rank, each in enumerate(everyones)}
        return states

    def set_random_states(self, states: Mapping[str, Tensor], device: torch.device) -> None:
        """Put this process's generators where `random_states` found them."""
        torch.set_rng_state(states[self._key("cpu", self.rank)])
        if (key := self._key("cuda", self.rank)) in states and device.type == "cuda":
            torch.cuda.set_rng_state(states[key], device)

    @staticmethod
    def _key(name: str, rank: int) -> str:
        return f"{name}:{rank}" if rank else name

    def _broadcast(self, data: bytes | None) -> bytes:
        """Send bytes from the first process to all."""
        size = torch.tensor([0 if data is None else len(data)])
        with _answered():
            dist.broadcast(size, src=0)
            buffer = (
                torch.empty(int(size), dtype=torch.uint8)
                if data is None
                else torch.frombuffer(bytearray(data), dtype=torch.uint8)
            )
            dist.broadcast(buffer, src=0)
        return buffer.numpy().tobytes()


ALONE = Processes()


@contextmanager
def _answered() -> Iterator[None]:
    """Say in one way that a process did not answer, and what the connection says of it."""
    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise  # those are this process's own
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise PeerError(f"another process of the run has failed or is gone: {reason}") from error
