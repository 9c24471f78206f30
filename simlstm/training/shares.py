"""The shares of a batch: which pairs a process encodes, and what all processes found, as the output of one."""

import torch
from torch import Tensor

from simlstm.models.siamese import PairOutput
from simlstm.training.distributed import Processes


def shares_of(rows: list[int], count: int) -> list[list[int]]:
    """Deal the rows of a batch to processes, one after the other: neighbours are of like length.

    The last shares of a batch that is smaller than the number of processes are empty.
    """
    return [rows[rank::count] for rank in range(count)]


def whole_output(own: PairOutput, sizes: list[int], processes: Processes) -> PairOutput:
    """Put the outputs of all shares together, so that a loss sees the whole batch.

    Only this process's rows carry gradients, and only where a loss looks at them: a head that none looks at gets none,
    as in one process. Every process computes the whole loss, and its gradient with respect to
    its own rows is complete; so the gradients of the parameters, added up over the processes, are those of one process
    that computed the whole batch.

    Args:
        own: Of this process's pairs. Where its share is empty, of any pair: the output is cut to no rows, and every
            parameter still gets its gradient, of zeros.
        sizes: Pairs in each share.
        processes: Which of them is this one.

    Returns:
        Of all pairs, share after share, in the widest of the output's dtypes.
    """
    fields = [own.embeddings1, own.embeddings2, own.score[:, None]]
    if own.class_log_probabilities is not None:
        fields.append(own.class_log_probabilities)
    widths = [field.shape[1] for field in fields]
    rows = torch.cat(fields, dim=1)[: sizes[processes.rank]]  # (P of this share, sum of widths); cat takes the widest
    parts = [part.split_with_sizes(widths, dim=1) for part in processes.gather(rows, sizes)]
    parts[processes.rank] = tuple(field[: sizes[processes.rank]].to(rows.dtype) for field in fields)
    first, second, score, *classes = (torch.cat(column) for column in zip(*parts, strict=True))
    log_probabilities: Tensor | None = classes[0] if classes else None
    return PairOutput(first, second, score[:, 0], log_probabilities)


def whole_rows(own: Tensor, sizes: list[int], processes: Processes) -> Tensor:
    """Put the rows of all shares together, [B, D], as `whole_output` does; only this process's carry gradients.

    Args:
        own: This process's rows; where its share is empty, any row.
        sizes: Rows in each share.
        processes: Which of them is this one.
    """
    rows = own[: sizes[processes.rank]]
    parts = processes.gather(rows, sizes)
    parts[processes.rank] = rows
    return torch.cat(parts)
