"""A whole run: prompts through the loop into a run directory, interruptible and resumable."""

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

from constitution.schema import Constitution
from constitution.typed_yaml import Settings
from engine.generators.facts import ModelFacts
from engine.judging.calibrate import calibrated_judge
from engine.prompts.sources import Prompt, PromptSource
from engine.records import Failure, Record
from engine.runs.directory import REVISE, RunDirectory, RunKind, RunRecord
from engine.runs.first_results import FirstResults
from engine.runs.manifest import identity_of
from engine.runs.output import Mode
from engine.runs.plan import Known, Plan, plan_run
from engine.runs.scheduler import Window, Work, each_prompt, revising
from engine.settings import LoopSettings, RoleModels, Roles
from engine.storage.cached_generator import CallCounts, behind_cache, preflight_of

__all__ = ["Progress", "RevisionRun", "Run", "RunResult", "RunSpec"]

Result = TypeVar("Result", bound=RunRecord)

_MANIFEST_SECONDS = 30.0
_FEWEST_FOR_AN_ESTIMATE = 5
"""Conversations of this process from which the time left can be told."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands. Tokens and seconds are of this process, totals of the whole run;
    seconds count from when the model was up, `starting` those before."""

    total: int
    done: int
    half_done: float
    """Whole conversations that the finished turns of those in flight add up to."""
    resumed: int
    totals: Mapping[str, int]
    seconds: float
    starting: float
    counts: CallCounts
    started: bool
    """Whether an engine is up or was never needed."""

    @property
    def seconds_left(self) -> float | None:
        """At this process's pace, if it has one; turns in flight count for half of what is left at most."""
        if self.done - self.resumed < _FEWEST_FOR_AN_ESTIMATE:
            return None
        left = self.total - self.done
        half_done = min(self.half_done, left / 2)
        return self.seconds / (self.done - self.resumed + half_done) * (left - half_done)


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended."""

    path: Path
    status: str
    totals: Mapping[str, int]
    progress: Progress


@dataclass(frozen=True, slots=True)
class RunSpec(Generic[Result]):
    """What a run is made from, and what it does.

    `work` says, given the models behind the completion cache, what is done with each prompt: up to
    `requests` requests at a time, of about `expected_tokens` tokens.
    """

    kind: RunKind
    prompts: PromptSource
    constitution: Constitution | None
    models: RoleModels
    settings: Settings
    work: Callable[[RoleModels], Work[Result]]
    expected_tokens: int
    requests: int = 1
    idle: frozenset[str] = frozenset()
    """Roles that are never asked."""


class Run(Generic[Result]):
    """Prompts, models and mostly a constitution, on their way into a directory as records of one
    kind. Raises InputError as RunDirectory does when the directory is not this run's.
    """

    def __init__(
        self, out: Path, spec: RunSpec[Result], mode: Mode = "resume", window: int | None = None
    ) -> None:
        prompts, settings = spec.prompts, spec.settings.model_dump()
        identity = identity_of(prompts, spec.constitution, spec.models, settings)
        self.prompts = prompts
        self.directory = RunDirectory(out, spec.kind, identity, spec.constitution, mode, prompts)
        if prompts.shard is not None:
            told = {**identity["prompts"], "count": prompts.count}
            self.directory.found["prompts"] = told
        if any(prompts.replaced):
            self.directory.found["replaced_values"] = prompts.replaced._asdict()
        self.models: RoleModels
        self.on_checked: Callable[[Sequence[ModelFacts]], None] = lambda facts: None
        """Called with what was found of the servers, once they were asked."""
        preflight = preflight_of(spec.models, spec.idle)
        preflight.on_found = self._note_facts
        self.models, self._generators = behind_cache(spec.models, self.directory.cache, preflight)
        self._spec: RunSpec[Result] = spec
        self._resumed = self._done = len(self.directory.done)
        self._window = Window(
            self._generators,
            expected_tokens=spec.expected_tokens,
            requests=spec.requests,
            total=prompts.count - self._resumed,
            size=window,
        )
        self._began = time.monotonic()
        self._ready: float | None = None
        self._written = 0.0
        self._first = FirstResults()
        self._usage_before = dict(self.directory.usage)

    def remaining(self) -> Iterator[Prompt]:
        """Prompts without a row yet, in file order."""
        return (prompt for prompt in self.prompts if prompt.id not in self.directory.done)

    @property
    def complete(self) -> bool:
        """Whether every prompt has its row already, and the manifest says so."""
        return self.directory.complete and self._done >= self.prompts.count

    @property
    def updated(self) -> bool:
        """Whether this run continues one whose input has been edited since."""
        return self.aside is not None

    @property
    def aside(self) -> Path | None:
        """Where an update put the previous records."""
        return self.directory.output.aside

    async def stream(self) -> AsyncGenerator[Result | Failure, None]:
        """Finish what remains; each result is on disk before it is yielded.

        However it ends - done, closed, cancelled, an engine gone, disk full - what was finished is
        on disk and the manifest says how it stands.
        """
        status = "interrupted"
        self._began = time.monotonic()
        self.directory.write_constitution()
        self._write_manifest("running")
        try:
            await self.prepare()
            results = each_prompt(self.remaining(), self._spec.work(self.models), self._window)
            async with aclosing(results):
                async for result in results:
                    self.directory.add(result)
                    self._done += 1
                    self._note_start()
                    self._write_manifest_now_and_then()
                    yield result
                    self._first.note(result)
            self.directory.cache.flush()
            self.directory.check_intact()
            self.finish()
            status = "complete"
        finally:
            try:
                self.directory.cache.flush()
            finally:
                self._write_manifest(status)

    async def prepare(self) -> None:
        """Ask what must be known before the first prompt."""

    def finish(self) -> None:
        """Write what is made from all records, before the manifest calls the run complete."""

    async def execute(self, on_progress: Callable[[Progress], None] | None = None) -> RunResult:
        """`stream` to its end, calling `on_progress` after each result."""
        async with aclosing(self.stream()) as results:
            async for _ in results:
                if on_progress:
                    on_progress(self.progress())
        return RunResult(self.directory.path, "complete", self.progress().totals, self.progress())

    def progress(self) -> Progress:
        """Where the run stands now."""
        counts = [asdict(generator.counts) for generator in self._generators]
        total = CallCounts(**{key: sum(count[key] for count in counts) for key in counts[0]})
        started, now = self._note_start(), time.monotonic()
        ready = now if self._ready is None else self._ready
        return Progress(
            total=self.prompts.count,
            done=self._done,
            half_done=self._window.half_done,
            resumed=self._resumed,
            totals=dict(self.directory.totals),
            seconds=now - ready,
            starting=ready - self._began,
            counts=total,
            started=started,
        )

    def _note_facts(self, facts: Sequence[ModelFacts]) -> None:
        self.directory.found["checked"] = [found.as_dict() for found in facts]
        self.on_checked(facts)

    def _note_start(self) -> bool:
        """Whether an engine is up or was never needed; the time counts from when it first was."""
        started = any(g.started or g.counts.cached_requests for g in self._generators)
        if self._ready is None and started:
            self._ready = time.monotonic()
        return started

    def _write_manifest_now_and_then(self) -> None:
        """So that a killed run's usage is known to the last half minute."""
        if time.monotonic() - self._written >= _MANIFEST_SECONDS:
            self._write_manifest("running")

    def _write_manifest(self, status: str) -> None:
        self._written = time.monotonic()
        now = self.progress()
        fresh = asdict(now.counts) | {"seconds": round(now.seconds, 3)}
        before = self._usage_before
        self.directory.usage = {key: before.get(key, 0) + value for key, value in fresh.items()}
        self.directory.write_manifest(status)

    async def close(self, *, engines: bool = True) -> None:
        """Let go of the directory, and stop the engines unless another run is to have them."""
        try:
            for generator in self._generators if engines else ():
                await generator.close()
        finally:
            self.directory.close()


class RevisionRun(Run[Record]):
    """A run that critiques and revises. Raises as Run does."""

    def __init__(
        self,
        out: Path,
        prompts: PromptSource,
        constitution: Constitution,
        roles: Roles,
        settings: LoopSettings,
        *,
        mode: Mode = "resume",
        window: int | None = None,
    ) -> None:
        self.constitution = constitution
        self.settings = settings
        spec = RunSpec(
            kind=REVISE,
            prompts=prompts,
            constitution=constitution,
            models=dict(roles),
            settings=settings,
            work=lambda models: revising(constitution, Roles(**models), settings),
            expected_tokens=3 * roles.policy.sampling.max_tokens,
            idle=frozenset()
            if settings.judges and constitution.needs_judge
            else frozenset({"judge"}),
        )
        super().__init__(out, spec, mode, window)

    async def prepare(self) -> None:
        """Calibrate the judge on the constitution's own tests, where its verdicts decide anything.

        Raises InputError for a judge that cannot tell them apart, unless the settings take it anyway.
        """
        found = self.directory.found
        judge, calibration = await calibrated_judge(
            self.roles.judge, self.constitution, self.settings, known=found.get("calibration")
        )
        if calibration:
            found["calibration"] = calibration.as_dict()
            self._write_manifest("running")
        self.models = {**self.models, "judge": judge}

    @property
    def roles(self) -> Roles:
        """The models, behind the completion cache."""
        return Roles(**self.models)

    def plan(self) -> Plan:
        """What the whole run would generate, given the cache."""
        calibration = self.directory.found.get("calibration", {})
        known = Known(self.directory.cache, calibration=calibration)
        prompts = self.prompts
        return plan_run(
            prompts, prompts.count, self.constitution, self.roles, self.settings, known=known
        )
