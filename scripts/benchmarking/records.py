"""What every results file holds: where it was made, and seconds."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Difference = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Record(BaseModel):
    """A part of a results file: immutable, with no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(Record):
    """Where a measurement was made.

    Attributes:
        processor: Model name and number of logical processors.
        instruction_sets: Those of its vector and matrix instruction sets that matter here.
        native_backend: The instruction set that our native backend chose; None where it is absent.
        cpu_capability: The one that torch's own kernels chose.
        threads: CPU threads of torch, and of every peer.
        load_average: Of the last minute, when the run began: an idle machine shows less than its threads.
        packages: Version of each package that takes part.
        libraries: What computes torch's matrix products, with versions.
        commit: Of this code; ``+changes`` when files were edited.
    """

    processor: str
    instruction_sets: list[str]
    native_backend: str | None
    cpu_capability: str
    threads: Count
    load_average: float | None
    python: str
    packages: dict[str, str]
    libraries: dict[str, str]
    commit: str | None


class Timing(Record):
    """Seconds of a turn: median and first and third quartile over the turns."""

    median_s: Positive
    quartiles_s: tuple[float, float]
    turns: Count
