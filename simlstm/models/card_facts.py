"""What a model card must say that no checkpoint knows by itself: languages, licences, sources, limits."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


class DataFact(BaseModel):
    """One data set that a model was trained on, or was taught with.

    Attributes:
        name: What people call it.
        license: Its licence, as its source states it.
        use: What it was used for: "graded pairs", "distillation", "calibration".
        source: Where it comes from: a URL or a publication; None when there is nothing to name.
        dataset: Its identifier for the metadata of the card; None for its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    license: Text
    use: Text
    source: Text | None = None
    dataset: Text | None = None


class CardFacts(BaseModel):
    """The facts of a card, from a TOML file of ``simlstm pack``; stored in the checkpoint's provenance under "card".

    Attributes:
        name: What the model is called, and by what a shipped checkpoint is asked for.
        summary: A sentence or two: what it is for.
        language: Codes of the languages it knows, such as "en".
        license: Licence of the weights, an SPDX identifier in lower case, such as "apache-2.0".
        data: What it was trained on.
        limits: What it cannot do, and where it was seen to fail; a sentence each.
        command: The command that makes it, from the data to the checkpoint.
        tags: Further tags of the metadata.
        teachers: Models that it learned from, with their licences in ``data``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    summary: Text
    language: Annotated[tuple[Text, ...], Field(min_length=1)]
    license: Text
    data: Annotated[tuple[DataFact, ...], Field(min_length=1)]
    limits: Annotated[tuple[Text, ...], Field(min_length=1)]
    command: Text
    tags: tuple[Text, ...] = ()
    teachers: tuple[Text, ...] = ()

    def metadata(self) -> dict[str, Any]:
        """Return the fields of a card's front matter that follow from the facts."""
        teachers = {"base_model": list(self.teachers)} if self.teachers else {}
        datasets = [fact.dataset or fact.name for fact in self.data]
        return {"language": list(self.language), "license": self.license, "datasets": datasets, **teachers}
