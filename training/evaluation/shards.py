"""An evaluation in shards: each asks and judges its share of the questions, into a cache.

Everything that an evaluation asks is about one prompt, question or pair, so the caches together hold
what one process would have asked, and the evaluation that follows generates nothing again.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from engine.prompts.shard import Shard
from engine.runs.finished_shards import FinishedShard
from engine.runs.manifest import versions
from engine.runs.output import Mode, OutputDirectory
from engine.runs.ray_worker import ShardProgress
from engine.runs.shards import RunPlace
from engine.storage.atomic import DirectoryLock
from engine.storage.sqlite import merge_stores
from training.evaluation.config import EvaluateConfig
from training.evaluation.evidence import OnProgress, gather_evidence
from training.evaluation.inputs import EvaluationInputs, open_inputs
from training.evaluation.questions.questionnaire import Questionnaire
from training.evaluation.run import EVALUATION

__all__ = ["EvaluationShard", "EvaluationWork", "gather_evaluation", "part_of"]

_CACHE = "completions.sqlite"


class EvaluationShard:
    """One shard of an evaluation, in `directory`. Raises InputError as EvaluationRun does."""

    def __init__(
        self, inputs: EvaluationInputs, shard: Shard, directory: Path, *, overwrite: bool = False
    ) -> None:
        self.inputs = inputs
        self.shard = shard
        identity = {**inputs.questionnaire.identity(), "shard": str(shard)}
        mode: Mode = "overwrite" if overwrite else "resume"
        self.directory = OutputDirectory(directory, EVALUATION, identity, mode)
        self.directory.look()

    async def execute(self, on_progress: OnProgress = lambda what, done, total: None) -> None:
        """Ask and judge. Raises as EvaluationRun's does."""
        given = self.inputs
        asked = part_of(given.questionnaire, self.shard)
        with self.directory:
            self.directory.write("running")
            out = self.directory.path
            await gather_evidence(asked, given.models, given.judges, out, on_progress)
            self.directory.write("complete", {"versions": versions()})


class EvaluationWork:
    """The shards of an evaluation, as a worker is given them (`engine.runs.ray_worker.ShardWork`)."""

    cached = True

    def __init__(self, config: EvaluateConfig, *, overwrite: bool = False) -> None:
        self._config = config
        self._overwrite = overwrite
        self._inputs: EvaluationInputs | None = None
        self._done = self._total = 0

    def place(self, shard: str, scratch: str | None) -> RunPlace:
        """In the evaluation's directory."""
        return RunPlace.parse(self._config.out, shard, scratch)

    async def finish(self, place: RunPlace, directory: Path) -> None:
        """Raises as EvaluationShard does."""
        if self._inputs is None:
            self._inputs = open_inputs(self._config)
        assert place.shard is not None
        run = EvaluationShard(self._inputs, place.shard, directory, overwrite=self._overwrite)
        await run.execute(self._note)

    def progress(self, shard: int) -> ShardProgress:
        """Of what is being asked now."""
        return ShardProgress(shard, done=self._done, total=self._total, started=self._total > 0)

    async def close(self) -> None:
        """An evaluation loads one model at a time, and stops it itself."""

    def _note(self, what: str, done: int, total: int) -> None:
        self._done, self._total = done, total


def part_of(whole: Questionnaire, shard: Shard) -> Questionnaire:
    """The questions whose ids hash to `shard`; lm-eval has no shards and is left to the end."""
    holds = shard.holds
    return replace(
        whole,
        prompts=tuple(prompt for prompt in whole.prompts if holds(prompt.id)),
        harmful=tuple(prompt for prompt in whole.harmful if holds(prompt.id)),
        benign=tuple(prompt for prompt in whole.benign if holds(prompt.id)),
        tasks=tuple(
            replace(task, items=tuple(item for item in task.items if holds(item.id)))
            for task in whole.tasks
        ),
        swaps=tuple(
            replace(
                swap,
                groups={
                    g: tuple(p for p in asked if holds(p.id)) for g, asked in swap.groups.items()
                },
            )
            for swap in whole.swaps
        ),
        opinions=tuple(pair for pair in whole.opinions if holds(pair.id)),
        helpful=tuple(one for n, one in enumerate(whole.helpful) if holds(str(n))),
        harness=None,
    )


def gather_evaluation(out: Path, shards: Sequence[FinishedShard], mode: Mode = "resume") -> int:
    """Merge what the shards asked into the cache of the evaluation in `out`, which its own command
    then ends; how many completions were new.

    Raises InputError where `out` holds another evaluation, or a process writes to it or to a shard.
    """
    with ExitStack() as stack:
        identity = shards[0].whole_identity
        output = OutputDirectory(out, EVALUATION, identity, mode, gathering=True)
        stack.enter_context(output)
        for shard in shards:
            stack.enter_context(DirectoryLock(shard.path))
        new = merge_stores(out / _CACHE, [shard.path / _CACHE for shard in shards])
        output.gathering = False
        if output.found is None or not output.found.get("complete"):
            output.write("interrupted")
    return new
