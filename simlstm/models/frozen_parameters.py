"""The parameters that freezing reads: each by its name, with the shape that its place asks for."""

from typing import NamedTuple

from torch import nn

from simlstm.models.encoder import SentenceEncoder
from simlstm.rnn import LSTM


class ReadParameter(NamedTuple):
    """What stands where a parameter belongs.

    Attributes:
        name: Of its place, in the encoder or in the module that was asked for.
        value: What is there: ``simlstm.models.freezable`` tells whether it is a parameter of the shape.
        shape: What the settings of its module ask for.
    """

    name: str
    value: object
    shape: tuple[int, ...]


def recurrent_names(recurrent: LSTM) -> list[list[str]]:
    """Name the parameters of each layer and direction as torch does: w_ih, w_hh, and b_ih, b_hh where there are."""
    kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if recurrent.bias else [])]
    directions = ["", "_reverse"] if recurrent.bidirectional else [""]
    return [
        [f"{kind}_l{layer}{direction}" for kind in kinds]
        for layer in range(recurrent.num_layers)
        for direction in directions
    ]


def recurrent_parameters(recurrent: LSTM) -> list[list[ReadParameter]]:
    """List the parameters of each layer and direction, in the order of ``recurrent_names``.

    Args:
        recurrent: Without projection.
    """
    hidden_size, directions = recurrent.hidden_size, 2 if recurrent.bidirectional else 1
    groups = []
    for place, names in enumerate(recurrent_names(recurrent)):
        input_size = recurrent.input_size if place < directions else directions * hidden_size
        gates = (4 * hidden_size,)
        shapes = [(*gates, input_size), (*gates, hidden_size), gates, gates][: len(names)]
        groups.append(
            [
                ReadParameter(name, getattr(recurrent, name, None), shape)
                for name, shape in zip(names, shapes, strict=True)
            ]
        )
    return groups


def read_parameters(encoder: SentenceEncoder) -> list[ReadParameter]:
    """List every parameter that the vectors of an encoder follow from.

    Args:
        encoder: Its modules are of the types that it is made with.
    """
    table, recurrent = encoder.embedding, encoder.recurrent
    assert isinstance(recurrent, LSTM)  # noqa: S101 - the caller's part
    found = [ReadParameter("embedding.weight", table.weight, (table.num_embeddings, table.embedding_dim))]
    for group in recurrent_parameters(recurrent):
        found += [parameter._replace(name=f"recurrent.{parameter.name}") for parameter in group]
    for name, module in encoder.named_modules(remove_duplicate=False):
        if isinstance(module, nn.Linear):
            found.append(ReadParameter(f"{name}.weight", module.weight, (module.out_features, module.in_features)))
            if module.bias is not None:
                found.append(ReadParameter(f"{name}.bias", module.bias, (module.out_features,)))
    return found
