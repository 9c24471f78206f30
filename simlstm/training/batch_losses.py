"""From a planned batch to its losses, wherever its sentences are computed."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.models.siamese import PairOutput, SiameseModel
from simlstm.training.corpus import Corpus, PlannedBatch
from simlstm.training.distillation import DistillationLoss
from simlstm.training.distributed import Processes
from simlstm.training.joint import PairTask
from simlstm.training.precision import Precision
from simlstm.training.shares import shares_of, whole_output, whole_rows


class BatchLosses:
    """Packs, runs the model, and computes the losses; nothing in it waits for a GPU.

    Batches are copied from pinned memory, so that the host packs the next one while this one is computed.

    Args:
        model: In training mode.
        corpus: Training batches.
        tasks: Of each source of pairs: its losses, and its head.
        distillation: The losses of the sources of sentences, where there are any.
        precision: Of the model; losses are float32.
        processes: Those that share out each batch.
        device: Of the model.
    """

    def __init__(
        self,
        model: SiameseModel,
        corpus: Corpus,
        tasks: Sequence[PairTask],
        *,
        precision: Precision,
        processes: Processes,
        device: torch.device,
        distillation: DistillationLoss | None = None,
    ) -> None:
        self._distillation = distillation
        self._model = model
        self._corpus = corpus
        self._tasks = tasks
        self._precision = precision
        self._processes = processes
        self._device = device

    def __call__(self, planned: PlannedBatch) -> dict[str, Tensor]:
        """Compute the losses of a whole batch, as `Objective` returns them.

        On several processes their gradients go through this process's share only; see `whole_output`.
        """
        if self._corpus.is_taught(planned):
            return self._taught(planned)
        task = self._tasks[planned.source]
        if self._processes.alone:
            batch, kind = self._corpus.collate(planned)
            output = self._output(batch.tokens, task.head)
        else:
            shares = shares_of(planned.rows, self._processes.count)
            dealt = replace(planned, rows=[row for share in shares for row in share])
            own = shares[self._processes.rank] or dealt.rows[:1]
            batch, kind = self._corpus.collate(dealt, own)
            output = whole_output(
                self._output(batch.tokens, task.head), [len(share) for share in shares], self._processes
            )
        groups = None if batch.groups is None else self._on_device(batch.groups)
        return task.objective(output, self._on_device(batch.targets), groups, kind)

    def _taught(self, planned: PlannedBatch) -> dict[str, Tensor]:
        """Compute the losses of a whole batch of sentences, shared out as pairs are."""
        assert self._distillation is not None  # noqa: S101 - who has sentences has losses for them
        if self._processes.alone:
            batch = self._corpus.collate_taught(planned)
            embeddings = self._embeddings(batch.tokens)
        else:
            shares = shares_of(planned.rows, self._processes.count)
            dealt = replace(planned, rows=[row for share in shares for row in share])
            batch = self._corpus.collate_taught(dealt, shares[self._processes.rank] or dealt.rows[:1])
            embeddings = self._embeddings(batch.tokens)
            embeddings = whole_rows(embeddings, [len(share) for share in shares], self._processes)
        return self._distillation(embeddings, self._on_device(batch.targets))

    def _embeddings(self, tokens: PackedSequence) -> Tensor:
        """Run the encoder on packed sentences."""
        if self._device.type == "cuda":
            tokens = tokens.pin_memory()
        with self._precision.autocast():
            on_device = tokens.to(device=self._device, non_blocking=True)  # type: ignore[call-arg]
            embeddings: Tensor = self._model.encoder(on_device)
        return embeddings

    def _output(self, tokens: PackedSequence, head: str | None) -> PairOutput:
        """Run the model on packed pairs."""
        other = {} if head is None else {"head": head}
        if self._device.type == "cuda":
            tokens = tokens.pin_memory()
        with self._precision.autocast():
            on_device = tokens.to(device=self._device, non_blocking=True)  # type: ignore[call-arg]
            output: PairOutput = self._model(on_device, **other)
        return output

    def _on_device(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory().to(self._device, non_blocking=True) if self._device.type == "cuda" else tensor
