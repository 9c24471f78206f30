"""What all sections of a configuration share: strictness, and the ranges of numbers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """One section: immutable, unknown keys refused, no silent conversion between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def set_among(self, *names: str) -> list[str]:
        """Return those of some keys that are not at their defaults, in order of the alphabet."""
        return [name for name in sorted(names) if getattr(self, name) != type(self).model_fields[name].default]
