"""From a recipe's TOML to the commands that it stands for."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from simlstm.training.section import Section

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
_PLACEHOLDER = re.compile(r"\{([a-z0-9_-]+)\}")
_OWN_PLACEHOLDERS = ("out", "root", "seed", "data")


class RecipeError(ValueError):
    """A recipe that cannot be used, or a step that failed."""


class StepConfig(Section):
    """One step: a training run, or another command.

    Texts may hold ``{NAME}`` (the out of an earlier step, of the same seed where it has one for each), ``{out}``,
    ``{root}`` (the recipe's folder), ``{data}`` and, in a step for each seed, ``{seed}``.

    Attributes:
        name: Other steps name it so.
        config: TOML file of a training run, from the working directory.
        command: Words of another command behind ``simlstm``, instead of `config`.
        set: Overrides of the training configuration, ``section.key=value``.
        seeds: ``each`` makes one for each seed of the recipe.
        needs: Earlier steps. A training run that is needed and not named in `set` is handed on as
            ``training.initial_checkpoint``.
        out: What the step makes; absent, ``{root}/NAME``, or ``{root}/NAME/seed-N`` for each seed.
        metrics: A JSON file that the command writes, whose ``metrics`` are summarised over the seeds.
    """

    name: Name
    config: str | None = None
    command: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None = None
    set: Annotated[tuple[str, ...], Field(strict=False)] = ()
    seeds: Literal["once", "each"] = "once"
    needs: Annotated[tuple[str, ...], Field(strict=False)] = ()
    out: str | None = None
    metrics: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.config is None) == (self.command is None):
            raise ValueError(f"step {self.name}: give exactly one of config (a training run) and command")
        if self.command is not None and self.set:
            raise ValueError(f"step {self.name}: set belongs to a training run; write it into the command")
        if self.name in _OWN_PLACEHOLDERS:
            raise ValueError(f"step {self.name}: the name is a placeholder's; allowed: any but {_OWN_PLACEHOLDERS}")
        return self


class Recipe(Section):
    """A whole recipe.

    Attributes:
        about: What it makes, for people.
        steps: In the order in which they run.
        seeds: Of the steps for each seed.
        out: The folder of all that it makes; absent, ``runs/`` and the name of the file.
        data: The folder that ``{data}`` stands for.
    """

    about: str = ""
    steps: Annotated[tuple[StepConfig, ...], Field(min_length=1, strict=False)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, strict=False)] = (0, 1, 2)
    out: str | None = None
    data: str = "../shared/data"


@dataclass(frozen=True, slots=True)
class Job:
    """One command of a recipe.

    Attributes:
        step: What it belongs to.
        seed: Its seed; None where the step runs once.
        out: What it makes.
        words: The command behind ``simlstm``.
        settings: Overrides of a training run, as texts.
        fingerprint: Changes with the command, the configuration file, and all that it needs.
        metrics: The JSON file that is summarised, if there is one.
    """

    step: StepConfig
    seed: int | None
    out: Path
    words: tuple[str, ...]
    settings: tuple[str, ...]
    fingerprint: str
    metrics: Path | None

    @property
    def name(self) -> str:
        """The step's name, with the seed."""
        return self.step.name if self.seed is None else f"{self.step.name}-seed-{self.seed}"


def read_recipe(file: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: When it cannot be read, or says what is not allowed.
    """
    try:
        return Recipe.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file}: not a TOML file: {error}") from error
    except ValidationError as error:
        lines = [
            f"{file}: {'.'.join(map(str, detail['loc'])) or 'recipe'}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False)
        ]
        raise RecipeError("\n".join(lines)) from error


def plan(
    recipe: Recipe, root: Path, *, seeds: Sequence[int], data: str | None = None, settings: Sequence[str] = ()
) -> list[Job]:
    """Spell out a recipe's commands, in order.

    Args:
        recipe: As read.
        root: The folder of all that it makes.
        seeds: Of the steps for each seed.
        data: Takes the place of the recipe's `data`, and of ``data.root`` in each training run.
        settings: Further overrides of each training run.

    Raises:
        RecipeError: For a name that stands for nothing, or a configuration that cannot be read.
    """
    settings = [*settings, *([f"data.root={data}"] if data is not None else [])]
    jobs: list[Job] = []
    names: list[str] = []
    for step in recipe.steps:
        if step.name in names:
            raise RecipeError(f"step {step.name}: there are two of this name")
        if unknown := [name for name in step.needs if name not in names]:
            raise RecipeError(f"step {step.name}: needs {unknown[0]!r}; the steps before it: {', '.join(names) or '-'}")
        for seed in seeds if step.seeds == "each" else (None,):
            earlier = {name: _job_of(jobs, name, seed) for name in names}
            places = {name: str(root / name if job is None else job.out) for name, job in earlier.items()}
            places |= {"root": str(root), "data": data or recipe.data}
            if seed is not None:
                places["seed"] = str(seed)
            default = "{root}/" + step.name + ("" if seed is None else "/seed-{seed}")
            places["out"] = _filled(step.out or default, step, places)
            jobs.append(_job(step, seed, places, earlier, jobs, settings))
        names.append(step.name)
    return jobs


def _job_of(jobs: Sequence[Job], name: str, seed: int | None) -> Job | None:
    """Return the job of a step for a seed; None when there is one for each seed, and none is asked for."""
    return next((job for job in jobs if job.step.name == name and job.seed in {None, seed}), None)


def _job(
    step: StepConfig,
    seed: int | None,
    places: Mapping[str, str],
    earlier: Mapping[str, Job | None],
    jobs: Sequence[Job],
    settings: Sequence[str],
) -> Job:
    """Fill in one command."""
    texts = step.command or step.set
    named = {name for text in texts for name in _PLACEHOLDER.findall(text)}
    overrides: list[str] = []
    if step.command is not None:
        words = [_filled(word, step, places) for word in step.command]
        content = b""
    else:
        handed_on = [
            name
            for name in step.needs
            if name not in named and any(job.step.name == name and job.step.config is not None for job in jobs)
        ]
        if len(handed_on) > 1:
            raise RecipeError(
                f"step {step.name}: needs {' and '.join(handed_on)}, and one checkpoint is what a run starts from; "
                "name the others in set"
            )
        for name in handed_on:
            if earlier[name] is None:
                raise RecipeError(f"step {step.name}: runs once and needs {name}, which has a run for each seed")
            overrides.append(f"training.initial_checkpoint={places[name]}")
        overrides += [_filled(text, step, places) for text in step.set]
        overrides += settings
        words = ["train", "--config", str(step.config), "--out", places["out"], "--resume"]
        words += [] if seed is None else ["--seed", str(seed)]
        words += [word for text in overrides for word in ("--set", text)]
        try:
            content = Path(str(step.config)).read_bytes()
        except OSError as error:
            raise RecipeError(f"step {step.name}: {step.config}: cannot be read: {error.strerror}") from error
    # Of a step for each seed, a step that runs once depends on those that its words name.
    needed = [
        job
        for job in jobs
        if job.step.name in named | set(step.needs)
        and (job.seed in {None, seed} or (seed is None and any(str(job.out) in word for word in words)))
    ]
    identity = [words, hashlib.sha256(content).hexdigest(), [job.fingerprint for job in needed]]
    return Job(
        step=step,
        seed=seed,
        out=Path(places["out"]),
        words=tuple(words),
        settings=tuple(overrides),
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        metrics=None if step.metrics is None else Path(_filled(step.metrics, step, places)),
    )


def _filled(text: str, step: StepConfig, places: Mapping[str, str]) -> str:
    """Put in what the placeholders stand for."""

    def place(found: re.Match[str]) -> str:
        if found[1] not in places:
            raise RecipeError(f"step {step.name}: {{{found[1]}}} stands for nothing; allowed: {', '.join(places)}")
        return places[found[1]]

    return _PLACEHOLDER.sub(place, text)
