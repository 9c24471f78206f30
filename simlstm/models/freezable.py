"""Whether an encoder computes what a frozen one would: nothing that somebody changed or added may be left out."""

import torch
from torch import nn

from simlstm.models.encoder import SentenceEncoder
from simlstm.models.frozen_parameters import read_parameters, recurrent_names
from simlstm.models.pooling import POOLINGS, AttentionPooling, MaxPooling, MeanMaxPooling, MeanPooling
from simlstm.rnn import LSTM

_Kinds = dict[str, tuple[type[nn.Module], ...]]

_PARTS: _Kinds = {
    "": (SentenceEncoder,),
    "embedding": (nn.Embedding,),
    "embedding_dropout": (nn.Dropout,),
    "recurrent": (LSTM,),
    "pooling": tuple(POOLINGS.values()),
    "projection": (nn.Linear, nn.Identity),
}
_POOLING_PARTS: dict[type[nn.Module], _Kinds] = {
    MeanMaxPooling: {"pooling.mean": (MeanPooling,), "pooling.max": (MaxPooling,)},
    AttentionPooling: {"pooling.hidden": (nn.Linear,), "pooling.relevance": (nn.Linear,)},
}


def obstacle(encoder: SentenceEncoder) -> str | None:
    """Say why an encoder cannot be frozen.

    Args:
        encoder: Any, whatever has been replaced in it.

    Returns:
        What is in the way, as half a sentence; None when nothing is.
    """
    return obstacle_but_values(encoder) or _infinite_value(encoder)


def obstacle_but_values(encoder: SentenceEncoder) -> str | None:
    """Say the same without a look at the values of the weights, which takes as long as reading them all."""
    return (
        ("a forward hook on all modules is registered" if has_global_hooks() else None)
        or _changed_module(encoder)
        or _changed_setting(encoder)
        or _changed_parameter(encoder)
    )


def has_global_hooks() -> bool:
    """Tell whether every module of the process calls a hook; some nanoseconds."""
    module = nn.modules.module
    return bool(module._global_forward_hooks or module._global_forward_pre_hooks)


def _changed_module(encoder: SentenceEncoder) -> str | None:
    modules = dict(encoder.named_modules(remove_duplicate=False))
    allowed = _PARTS | (_POOLING_PARTS.get(type(modules["pooling"]), {}) if "pooling" in modules else {})
    for name, module in modules.items():
        path, kinds = _path(name), allowed.get(name)
        if kinds is None:
            return f"{path} is no part of a SentenceEncoder"
        if type(module) not in kinds:
            return f"{path} is a {_qualified(type(module))}; allowed: {', '.join(map(_qualified, kinds))}"
        if module._forward_hooks or module._forward_pre_hooks:
            return f"{path} has a forward hook"
        if "forward" in vars(module):
            return f"{path} has a forward method of its own"
    missing = [_path(name) for name in allowed if name not in modules]
    return f"{missing[0]} is missing" if missing else None


def _changed_setting(encoder: SentenceEncoder) -> str | None:
    recurrent, pooling = encoder.recurrent, encoder.pooling
    assert isinstance(recurrent, LSTM)  # noqa: S101 - _changed_module has looked
    if encoder.embedding.max_norm is not None:
        return "encoder.embedding has max_norm, which changes the table when it is read"
    for name in ("proj_size", "zoneout_h", "zoneout_c"):  # zoneout acts in evaluation, too: by its expectation
        if getattr(recurrent, name):
            return f"encoder.recurrent has {name}"
    if recurrent._all_weights != recurrent_names(recurrent):
        return "encoder.recurrent has num_layers, bidirectional or bias set to what it was not built with"
    width = recurrent.hidden_size * (2 if recurrent.bidirectional else 1)
    for name, got, wanted in (
        ("bidirectional", pooling.bidirectional, recurrent.bidirectional),
        ("input_size", pooling.input_size, width),
    ):
        if got != wanted:
            return f"encoder.pooling has {name} {got}, and encoder.recurrent asks for {wanted}"
    return None


def _changed_parameter(encoder: SentenceEncoder) -> str | None:
    place = encoder.embedding.weight.device
    for name, value, shape in read_parameters(encoder):
        # A tensor that is no parameter follows no rule: neither load_state_dict nor an optimizer knows it.
        if type(value) is not nn.Parameter:
            return f"{_path(name)} is a {_qualified(type(value))}; allowed: {_qualified(nn.Parameter)}"
        if value.device.type not in ("cpu", "cuda") or value.dtype != torch.float32:
            return f"{_path(name)} is {value.dtype} on {value.device}; allowed: torch.float32 on cpu or cuda"
        if value.device != place:
            return f"{_path(name)} is on {value.device}; allowed: {place}, where encoder.embedding.weight is"
        if value.shape != shape:
            return f"{_path(name)} has shape {list(value.shape)}; allowed: {list(shape)}"
    return None


def _infinite_value(encoder: SentenceEncoder) -> str | None:
    """Find a weight that integers cannot hold: a frozen encoder would hide it in vectors that look sound."""
    for name, value, _ in read_parameters(encoder):
        if isinstance(value, nn.Parameter) and not torch.isfinite(value).all():
            return f"{_path(name)} holds NaN or an infinity"
    return None


def _path(name: str) -> str:
    return f"encoder.{name}" if name else "encoder"


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
