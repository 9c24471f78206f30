"""The model card of a checkpoint: README.md with YAML front matter, made from what the checkpoint knows."""

import json
from collections.abc import Mapping
from typing import Any

from simlstm.models.calibration import Calibration
from simlstm.models.card_facts import CardFacts
from simlstm.models.config import ModelConfig

_HEADS = {
    "cosine": "cosine of the two embeddings, in [-1, 1]",
    "manhattan": "exp(-L1 distance) of the two embeddings, in (0, 1]",
    "mlp": "expected class of a small network over |u - v| and u * v, scaled to [0, 1]",
}


def model_card(
    config: ModelConfig,
    *,
    name: str,
    calibration: Calibration | None,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any],
    facts: CardFacts | None = None,
) -> str:
    """Write the model card.

    Args:
        config: The architecture.
        name: What the card calls the model.
        calibration: How its scores become probabilities, if they do.
        metrics: What was measured, by name; nested mappings become dotted names.
        provenance: Where it comes from: data with hashes, command, seed, commit.
        facts: What somebody wrote down about it; their name replaces the other one.

    Returns:
        Markdown that begins with YAML front matter.
    """
    name, loaded_by = (name, "<this folder>") if facts is None else (facts.name, facts.name)
    sections = [
        _front_matter(config, facts),
        f"# {_line(name)}\n\nA Siamese {_recurrence(config)} that scores how similar two sentences are in meaning, "
        "made with simlstm.",
        "## Use\n\n```python\nfrom simlstm import SimilarityModel\n\n"
        f"model = SimilarityModel.from_pretrained({json.dumps(loaded_by, ensure_ascii=False)})\n"
        'model.score(["A man plays a guitar."], ["Someone is making music."])\n```',
        f"## What the numbers mean\n\n{_meaning(config, calibration)}",
        f"## Model\n\n{_table(('setting', 'value'), config.model_dump(mode='json'))}",
    ]
    if facts is not None:
        sections[1] += f"\n\n{facts.summary.strip()}"
        sections.append(_data(facts))
        sections.append(f"## Training\n\n```sh\n{facts.command.strip()}\n```")
    if metrics:
        sections.append(f"## Measured\n\n{_table(('metric', 'value'), metrics)}")
    if provenance:
        sections.append(f"## Provenance\n\n{_table(('what', 'value'), provenance)}")
    limits = [
        f"Sentences are cut at {config.max_tokens} tokens. Tokens outside of the vocabulary all look alike to the "
        "model. Scores compare pairs of the kind the model was trained on; they are no statement of fact about the "
        "sentences.",
        *(() if facts is None else ["\n".join(f"- {_line(limit)}" for limit in facts.limits)]),
    ]
    sections.append("## Limits\n\n" + "\n\n".join(limits))
    return "\n\n".join(sections) + "\n"


def _front_matter(config: ModelConfig, facts: CardFacts | None) -> str:
    """Write the front matter; a JSON value is a YAML value."""
    tags = ["sentence-similarity", "siamese", "lstm", config.head]
    fields: dict[str, Any] = {"library_name": "simlstm", "pipeline_tag": "sentence-similarity", "tags": tags}
    if facts is not None:
        fields = facts.metadata() | fields | {"tags": [*tags, *facts.tags]}
    return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in fields.items()), "---"])


def _data(facts: CardFacts) -> str:
    """Write what the model was trained on, and under which licences."""
    rows = ["| data | used for | licence | source |", "| --- | --- | --- | --- |"]
    for fact in facts.data:
        rows.append("| " + " | ".join(map(_line, (fact.name, fact.use, fact.license, fact.source or "–"))) + " |")
    weights = f"The weights are under {facts.license}."
    return "\n".join(["## Data", "", *rows, "", weights])


def _recurrence(config: ModelConfig) -> str:
    """Name the recurrent part in words."""
    direction = "bidirectional" if config.bidirectional else "one-directional"
    layers = "one layer" if config.num_layers == 1 else f"{config.num_layers} layers"
    return f"{direction} LSTM ({layers}, {config.hidden_size} units per direction, {config.pooling} pooling)"


def _meaning(config: ModelConfig, calibration: Calibration | None) -> str:
    """Say what a score, a probability and a verdict are for this model."""
    low, high = config.score_range
    source = f"graded similarities from {low:g} to {high:g}" if config.kind == "graded" else "0/1 labels"
    text = f"A score is the {_HEADS[config.head]}; higher is more similar. The model was trained on {source}."
    if calibration is None:
        return f"{text} There is no calibration: a score is not a probability."
    return (
        f"{text} A probability is calibrated ({calibration.method}) on {calibration.fitted_on.rows} pairs of "
        f"{_line(calibration.fitted_on.name)}, where a target of at least {calibration.positive_from:g} (scaled to "
        f"0..1) counted as positive. A pair whose score is at least {calibration.threshold:g} is called a match, the "
        f"threshold with the best {_line(calibration.threshold_metric)} there."
    )


def _table(header: tuple[str, str], values: Mapping[str, Any]) -> str:
    """Write a Markdown table of names and values."""
    rows = [f"| {header[0]} | {header[1]} |", "| --- | --- |"]
    rows += [f"| {_line(name)} | {_line(_shown(value))} |" for name, value in _flat(values)]
    return "\n".join(rows)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Spell nested mappings as dotted names."""
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def _shown(value: Any) -> str:
    """Write one value for people: four digits are what a metric is good for."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _line(text: str) -> str:
    """Keep a value inside its table cell."""
    return " ".join(text.split()).replace("|", "\\|")
