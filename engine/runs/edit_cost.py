"""What an edited constitution would cost on a run that exists, before anything is generated.

The run's own prompts, models, sampling, settings and completion cache are taken from its directory,
so what is counted is what `solon revise --update` would then ask.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from constitution.schema import Constitution
from engine.generators.base import Generator, Sampling
from engine.prompts.rows import Columns
from engine.prompts.shard import Shard
from engine.prompts.sources import PromptSource, open_prompts
from engine.prompts.standard_input import STDIN_NAME
from engine.record_files import read_records
from engine.runs.manifest import MANIFEST, run_manifest
from engine.runs.plan import CHARACTERS_PER_TOKEN, Known, Plan, plan_run
from engine.runs.throughput import expected_seconds
from engine.settings import LoopSettings, RoleModel, Roles, for_stakeholder
from engine.storage.completion_cache import CompletionCache

__all__ = ["EditCost", "edit_cost", "known_from"]

_SAMPLED = 500
"""Records from which the length of completions is learnt."""


@dataclass(frozen=True, slots=True)
class EditCost:
    """What is generated when a run continues under another constitution."""

    plan: Plan
    made_with: str
    """Hash of the constitution that the run's records were made with."""
    fingerprint: str
    """Of the model that answers."""
    at_most: bool
    """Whether verdicts yet to be asked decide how much of the plan is generated."""

    @property
    def seconds(self) -> float | None:
        """Expected, at the pace of the model's last run on this machine."""
        return expected_seconds(self.fingerprint, self.plan.completion_tokens)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {"made_with": self.made_with, "at_most": self.at_most}
        return {**told, **asdict(self.plan), "seconds": self.seconds}


def edit_cost(
    run: Path,
    constitution: Constitution,
    *,
    prompts: str | Path | None = None,
    columns: Columns | None = None,
) -> EditCost:
    """Plan the run in `run` again, with `constitution` in place of its own.

    `prompts` are needed only if the run's file has moved, `columns` if the file that it moved to
    names them otherwise.
    Raises InputError when `run` is not a revision run, or those are not the run's prompts.
    """
    made = _made_from(run)
    for_stakeholder(constitution, made.settings.stakeholder)
    source = _the_runs(made, prompts, columns)
    with known_from(run) as known:
        plan = plan_run(source, source.count, constitution, made.roles, made.settings, known=known)
    fingerprint = made.roles.policy.generator.fingerprint
    return EditCost(plan, made.constitution, fingerprint, made.settings.judges_first)


@contextmanager
def known_from(run: Path) -> Iterator[Known]:
    """What the run in `run` has already, if there is one."""
    path, manifest = run / "completions.sqlite", run / MANIFEST
    calibration: Mapping[str, Any] = {}
    if manifest.exists():
        calibration = read_json(manifest, dict).get("calibration", {})
    with CompletionCache(path) if path.exists() else nullcontext() as cache:
        yield Known(cache, _lengths(run), calibration)


class _Named(BaseModel):
    """A model that is known and not opened: all that a plan asks of it."""

    spec: str
    fingerprint: str


class _Prompts(BaseModel):
    """Where a run's prompts were, and what they were."""

    path: str
    columns: Columns
    count: int
    hash: str


@dataclass(frozen=True, slots=True)
class _MadeFrom:
    """What the manifest says that a run was made from; `constitution` is a hash."""

    constitution: str
    prompts: _Prompts
    roles: Roles
    settings: LoopSettings
    shard: Shard | None


def _made_from(run: Path) -> _MadeFrom:
    manifest = run_manifest(run, "revise")
    try:
        identity = manifest["identity"]
        prompts = _Prompts(**identity["prompts"])
        return _MadeFrom(
            constitution=str(identity["constitution"]["hash"]),
            prompts=prompts,
            roles=Roles(**{name: _named(model) for name, model in identity["models"].items()}),
            settings=LoopSettings(**identity["settings"]),
            shard=Shard.parse(identity["shard"]) if "shard" in identity else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        told = str(error).splitlines()[0]
        remedy = "restore the file, or name another run"
        raise InputError(Problem(str(run / MANIFEST), f"is damaged ({told})", remedy)) from error


def _named(model: Mapping[str, Any]) -> RoleModel:
    named = _Named(spec=model["spec"], fingerprint=model["fingerprint"])
    return RoleModel(cast(Generator, named), Sampling(**model["sampling"]))


def _the_runs(
    made: _MadeFrom, moved_to: str | Path | None, columns: Columns | None
) -> PromptSource:
    """The prompts that the run was made from, checked by their hash."""
    remedy = "name the run's prompts with --prompts"
    path, columns = str(moved_to or made.prompts.path), columns or made.prompts.columns
    if path == STDIN_NAME:
        raise InputError(Problem(path, "the run's prompts came from standard input", remedy))
    try:
        prompts = open_prompts(
            path,
            prompt_column=columns.prompt,
            id_column=columns.id,
            tags_column=columns.tags,
            prompt_format=columns.format or made.prompts.columns.format,
            limit=made.prompts.count,
        )
    except InputError as error:
        if moved_to is not None:
            raise
        what = f"the run's prompts cannot be read from here ({error.problems[0].what})"
        raise InputError(Problem(path, what, remedy)) from error
    if prompts.hash != made.prompts.hash:
        what = "these are not the prompts that the run was made from: their content differs"
        raise InputError(Problem(path, what, remedy))
    return prompts if made.shard is None else prompts.part(made.shard)


def _lengths(run: Path) -> dict[str, int]:
    """Mean tokens of a completion by role, where the run's first records show any."""
    said: dict[str, list[int]] = {}
    for record in islice(read_records(run), _SAMPLED):
        texts: list[tuple[str, str | None]] = [("policy", record.answer)]
        for one in record.rounds:
            texts += [("critic", one.critique), ("reviser", one.revision)]
        for role, text in texts:
            if text:
                said.setdefault(role, []).append(len(text))
    return {
        role: max(1, round(sum(sizes) / len(sizes) / CHARACTERS_PER_TOKEN))
        for role, sizes in said.items()
    }
