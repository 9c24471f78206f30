"""Storage forms: what they round, what they refuse, and that a second time changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simlstm import SimilarityModel
from simlstm.models.calibration import Calibration
from simlstm.models.checkpoint import CheckpointError, read_checkpoint
from simlstm.models.folder import NAMES
from simlstm.models.storage import STORAGES, Storage, restore, store
from simlstm.models.weights import WeightsError
from tests.models.checkpoint_editing import change_weights

Build = Callable[..., SimilarityModel]
TABLE = "encoder.embedding.weight"
ROUNDED: tuple[Storage, ...] = ("bfloat16", "int8", "int8-all")
# Large enough that recurrent weights, projection and head are rounded, too.
SIZES = {"embedding_size": 40, "hidden_size": 48, "projection_size": 64, "pooling": "mean_max", "head_hidden_size": 40}
TEXTS = ["a man plays a guitar", "a woman sings", "一只猫在睡觉", ""]


@pytest.fixture
def model(make_model: Build, platt: Calibration) -> SimilarityModel:
    return make_model(calibration=platt, **SIZES)


def dtypes_of(folder: Path) -> dict[str, str]:
    content = (folder / "model.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return {name: entry["dtype"] for name, entry in header.items() if name != "__metadata__"}


@pytest.mark.parametrize("storage", STORAGES)
def test_stored_again_the_bytes_are_the_same(model: SimilarityModel, tmp_path: Path, storage: Storage) -> None:
    model.save_pretrained(tmp_path / "a" / "run", storage=storage)
    loaded = SimilarityModel.from_pretrained(tmp_path / "a" / "run", device="cpu")
    loaded.save_pretrained(tmp_path / "b" / "run", storage=storage)
    for name in NAMES:
        first, second = (tmp_path / part / "run" / name for part in "ab")
        assert first.read_bytes() == second.read_bytes(), name
    again = SimilarityModel.from_pretrained(tmp_path / "b" / "run", device="cpu")
    assert again.fingerprint == loaded.fingerprint
    assert (again.fingerprint == model.fingerprint) == (storage == "float32"), "other weights, another fingerprint"
    loaded.save_pretrained(tmp_path / "wide")
    assert SimilarityModel.from_pretrained(tmp_path / "wide").fingerprint == loaded.fingerprint
    assert np.array_equal(again.score(TEXTS, TEXTS[::-1]), loaded.score(TEXTS, TEXTS[::-1]))


def test_what_is_loaded_is_float32_and_near(model: SimilarityModel, tmp_path: Path) -> None:
    exact = model.model.state_dict()
    for storage, most in (("bfloat16", 2**-8), ("int8", 1 / 250), ("int8-all", 1 / 250)):
        model.save_pretrained(tmp_path / storage, storage=storage)
        state = read_checkpoint(tmp_path / storage).state
        assert read_checkpoint(tmp_path / storage).storage == storage
        for name, tensor in exact.items():
            assert state[name].dtype == torch.float32
            # Half a step: 2^-9 of a number in bfloat16, 1/254 of a row's largest number in int8 (and its scale 2^-9).
            difference = (state[name] - tensor).abs().amax()
            assert difference <= most * tensor.abs().amax(), name


def test_forms_store_what_they_say(make_model: Build, tmp_path: Path) -> None:
    model = make_model(**SIZES)
    for storage in STORAGES:
        model.save_pretrained(tmp_path / storage, storage=storage)
    large = {name for name, tensor in model.model.state_dict().items() if tensor.dim() == 2 and tensor.numel() >= 4096}
    assert {"encoder.recurrent.weight_hh_l0", "encoder.projection.weight", "head.layers.0.weight"} <= large
    assert set(dtypes_of(tmp_path / "float32").values()) == {"F32"}
    wide = dict.fromkeys(model.model.state_dict(), "F32")
    half = wide | dict.fromkeys(large, "BF16")
    assert dtypes_of(tmp_path / "bfloat16") == half
    assert dtypes_of(tmp_path / "int8") == half | {TABLE: "I8", f"{TABLE}.scale": "BF16"}
    all_large = {TABLE, *large}
    expected = wide | dict.fromkeys(all_large, "I8") | {f"{name}.scale": "BF16" for name in all_large}
    assert dtypes_of(tmp_path / "int8-all") == expected
    versions = {name: json.loads((tmp_path / name / "config.json").read_bytes()) for name in STORAGES}
    assert {name: (d["format_version"], d.get("storage")) for name, d in versions.items()} == {
        "float32": (1, None), "bfloat16": (2, "bfloat16"), "int8": (2, "int8"), "int8-all": (2, "int8-all")
    }  # fmt: skip


def test_rounding_by_hand() -> None:
    rows = torch.tensor([[127.0, -127.0, 0.5, 1.5, -2.5, 0.0], [0.0] * 6, [1e-37] * 6, [254.0, 3.0, 1.0, -1.0, 0, 0]])
    stored = store({TABLE: rows}, "int8")
    assert stored[TABLE].tolist() == [[127, -127, 0, 2, -2, 0], [0] * 6, [0] * 6, [127, 2, 0, 0, 0, 0]], "ties to even"
    assert stored[f"{TABLE}.scale"].tolist() == [1.0, 0.0, 0.0, 2.0]
    assert restore(stored, "int8")[TABLE].tolist()[3] == [254.0, 4.0, 0.0, 0.0, 0.0, 0.0]


@given(seed=st.integers(0, 2**31), exponent=st.integers(-120, 120))
def test_any_rows_are_stored_once_and_for_all(seed: int, exponent: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(64, 9, generator=generator) * 10.0 ** (exponent / 4)
    first = store({TABLE: rows}, "int8")
    wide = restore(first, "int8")
    second = store(wide, "int8")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert int(first[TABLE].abs().amax(dim=1).min()) == 127, "the largest number of a row uses all of int8"
    step = rows.abs().amax(dim=1, keepdim=True) / 127
    # Half a step, and what the rounded scale (2^-9 of it) moves the largest number, at which 127 steps end.
    assert ((wide[TABLE] - rows).abs() <= step * (0.5 + 127 * 2**-9 + 1e-3)).all()


def test_an_unknown_form_is_refused(model: SimilarityModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="storage must be one of float32, bfloat16, int8, int8-all, got 'int4'"):
        model.save_pretrained(tmp_path / "x", storage="int4")
    assert not (tmp_path / "x").exists()


def test_numbers_that_rounding_makes_infinite(model: SimilarityModel, tmp_path: Path) -> None:
    with torch.no_grad():
        model.model.encoder.projection.weight[0, 0] = 3.4e38
    with pytest.raises(CheckpointError, match=r"encoder.projection.weight holds NaN or an infinity"):
        model.save_pretrained(tmp_path / "x", storage="bfloat16")
    model.save_pretrained(tmp_path / "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop(f"{TABLE}.scale"), rf"missing {TABLE}.scale"),
        (
            lambda s: s.update({f"{TABLE}.scale": s[f"{TABLE}.scale"][:-1].clone()}),
            rf"{TABLE}.scale is .* \[\d+\], rows",
        ),
        (lambda s: s.update({f"{TABLE}.scale": s[f"{TABLE}.scale"].float()}), rf"{TABLE}.scale is torch.float32"),
        (lambda s: s[f"{TABLE}.scale"].fill_(torch.nan), rf"{TABLE}.scale holds NaN, an infinity or a negative"),
        (lambda s: s[f"{TABLE}.scale"].fill_(torch.inf), rf"{TABLE}.scale holds NaN, an infinity or a negative"),
        (lambda s: s[f"{TABLE}.scale"].neg_(), rf"{TABLE}.scale holds NaN, an infinity or a negative"),
        (lambda s: s[f"{TABLE}.scale"].fill_(3e38), rf"{TABLE} holds NaN or an infinity"),
        (lambda s: s[TABLE].fill_(-128), rf"{TABLE} holds -128"),
        (lambda s: s.update({TABLE: s[TABLE].float()}), rf"{TABLE} is torch.float32, .* torch.int8 in storage 'int8'"),
        (lambda s: s.update({TABLE: s[TABLE][:, :-1].clone()}), rf"{TABLE} has shape"),
        (lambda s: s.update({TABLE: s[TABLE].flatten()}), rf"{TABLE} is torch.int8"),
        (lambda s: s.update({"head.layers.0.bias": torch.zeros(40).int()}), r"head.layers.0.bias is torch.int32"),
        (lambda s: s.update(extra=torch.zeros(2)), r"unexpected extra"),
        (lambda s: s.update({"extra.scale": torch.zeros(2)}), r"unexpected extra.scale"),
        (lambda s: s.pop(TABLE), rf"missing {TABLE}"),
        (lambda s: s["encoder.projection.weight"].fill_(torch.nan), "encoder.projection.weight holds NaN"),
    ],
)
def test_stored_weights_that_make_no_sense(
    model: SimilarityModel, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    model.save_pretrained(tmp_path / "x", storage="int8")
    change_weights(tmp_path / "x", change)
    with pytest.raises(CheckpointError, match=rf"model.safetensors: .*{message}"):
        read_checkpoint(tmp_path / "x")


def test_scales_in_a_form_that_has_none() -> None:
    stored = store({TABLE: torch.ones(2, 3)}, "int8")
    with pytest.raises(WeightsError, match=r"is torch.int8, .* torch.float32 in storage 'float32'"):
        restore(stored, "float32")


def test_thirty_thousand_subwords_fit_into_sixteen_megabytes() -> None:
    """The size of the shipped kind of model: everything but the tokenizer (0.47 MB for these subwords) and the card."""
    large = {"embedding": (30_522, 384), "ih": (1024, 384), "hh": (1024, 256), "ih_r": (1024, 384), "hh_r": (1024, 256)}
    large |= {"projection": (384, 1024), "head": (128, 768)}
    state = {name: torch.ones(shape) for name, shape in large.items()}
    state[TABLE] = state.pop("embedding")
    stored = store(state, "int8")
    assert sum(tensor.numel() * tensor.element_size() for tensor in stored.values()) + 500_000 < 16_000_000
