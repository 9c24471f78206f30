"""Every module input and every error input that torch ships for nn.GRU and nn.RNN."""

from typing import Any
from unittest import mock

import pytest
import torch

from simlstm.rnn import GRU, RNN

# On import, torch's test tools forbid setting backend flags in the whole process; other tests are to keep that right.
with mock.patch.object(torch.backends, "disable_global_flags"):
    from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

OURS = {torch.nn.GRU: GRU, torch.nn.RNN: RNN}
INFOS = [info for info in module_db if info.module_cls in OURS]


def cases(kind: str, dtype: torch.dtype = torch.float64) -> list[Any]:
    """Return (info, input) for every input of one kind that torch ships."""
    found = []
    for info in INFOS:
        make = info.module_inputs_func if kind == "inputs" else info.module_error_inputs_func
        for number, item in enumerate(
            make(info, device="cpu", dtype=dtype, requires_grad=kind == "inputs", training=True)
        ):
            found.append(pytest.param(info, item, id=f"{info.module_cls.__name__}-{number}"))
    return found


def test_torch_still_ships_these_inputs():
    assert {info.module_cls for info in INFOS} == set(OURS)
    assert len(cases("inputs")) >= 48
    assert len(cases("errors", torch.float32)) >= 28


def leaves(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves(item)]
    return []


@pytest.mark.parametrize(("info", "module_input"), cases("inputs"))
def test_module_input(info, module_input):
    constructor, forward = module_input.constructor_input, module_input.forward_input
    theirs = info.module_cls(*constructor.args, **constructor.kwargs, dtype=torch.float64)
    ours = OURS[info.module_cls](*constructor.args, **constructor.kwargs, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    results = []
    for module in (ours, theirs):
        outputs = leaves(module(*forward.args, **forward.kwargs))
        wanted = [*leaves(forward.args), *module.parameters()]
        gradients = torch.autograd.grad(sum(output.sin().sum() for output in outputs), wanted)
        results.append([*outputs, *gradients])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)
    if module_input.reference_fn is not None:
        expected = module_input.reference_fn(ours, *forward.args, **forward.kwargs)
        torch.testing.assert_close(leaves(ours(*forward.args, **forward.kwargs)), leaves(expected))


@pytest.mark.parametrize(("info", "error_input"), cases("errors", torch.float32))
def test_error_input(info, error_input):
    constructor = error_input.module_error_input.constructor_input
    forward = error_input.module_error_input.forward_input
    messages = []
    for module_class in (info.module_cls, OURS[info.module_cls]):
        if error_input.error_on == ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(error_input.error_type, match=error_input.error_regex) as caught:
                module_class(*constructor.args, **constructor.kwargs)
        else:
            module = module_class(*constructor.args, **constructor.kwargs)
            with pytest.raises(error_input.error_type, match=error_input.error_regex) as caught:
                module(*forward.args, **forward.kwargs)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
