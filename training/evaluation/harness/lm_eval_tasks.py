"""Capability tasks of EleutherAI's lm-evaluation-harness, run beside an evaluation's own questions.

The harness loads a model by itself, in a process that has ended before the next engine starts:
its memory and threads are gone by then. What each item scored is kept in `OUT/lm-eval`.
"""

import asyncio
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from constitution.permissions import GENERATED_CODE, is_allowed
from constitution.problems import InputError, Problem, Stopped, missing
from constitution.reading import finite_number, parse_json, read_json
from engine.generators.base import Generator
from engine.generators.spec import read_spec
from engine.storage.atomic import write_json_atomic
from training.evaluation.harness.lm_eval_scores import RUNS_CODE, Metrics, Scores

__all__ = [
    "SUITES",
    "Harness",
    "HarnessFailed",
    "check_harness",
    "code_tasks",
    "harness_metrics",
    "run_harness",
]

SUITES = {
    "tax": ("mmlu", "hellaswag", "gsm8k", "humaneval"),
    "truth": ("truthfulqa_mc1", "truthfulqa_mc2"),
    "bias": ("bbq_multiple_choice",),
}
"""Tasks that are asked together for one question: what alignment cost, whether a model repeats what
people wrongly believe, whether it leans on stereotypes."""

_OPTION = "--lm-eval"
_WORKER = "training.evaluation.harness.lm_eval_worker"
_WITH_WEIGHTS = ("embedded", "transformers", "vllm")
_QUIET = {
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "LMEVAL_LOG_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
_LONGEST = 1 << 28
"""Bytes of one line of the process: the scores of a task with some millions of items."""


class HarnessFailed(Stopped):
    """The harness ended before its tasks; those that were finished are kept."""


@dataclass(frozen=True, slots=True)
class Harness:
    """Names of tasks or groups of tasks, at most `limit` items of each (of each of a group's), and
    a directory with YAML files of further tasks."""

    tasks: tuple[str, ...]
    directory: Path | None = None
    limit: int | None = None

    def identity(self, task: str, model: Generator) -> dict[str, Any]:
        """What decides the scores of a task; a task of one's own counts by its directory."""
        return {
            "model": model.fingerprint,
            "task": task,
            "limit": self.limit,
            "tasks_dir": _digest(self.directory) if self.directory else None,
            "lm_eval": importlib.metadata.version("lm_eval"),
        }

    def command(self, tasks: Sequence[str], spec: str | None = None) -> list[str]:
        """The process that looks tasks up or, with a model, runs them."""
        directory = str(self.directory.resolve()) if self.directory else None
        request: dict[str, Any] = {
            "tasks": list(tasks),
            "directory": directory,
            "limit": self.limit,
            "code": is_allowed(GENERATED_CODE),
        }
        if spec is not None:
            _, name, options = read_spec(spec)
            request["model"] = {"name": name or "embedded", "options": options}
        return [sys.executable, "-m", _WORKER, json.dumps(request)]


def check_harness(
    harness: Harness, models: Mapping[str, Generator], out: Path, others: Iterable[str] = ()
) -> None:
    """Raise InputError for what would stop the harness, before any model is loaded.

    `others` are the names of the evaluation's own tasks. Names are looked up in a process of some
    seconds, unless everything is kept in `out` already.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise missing(_OPTION, "lm-eval", "lm-eval")
    if harness.directory is not None and not harness.directory.is_dir():
        problem = f"there is no directory {harness.directory}"
        raise InputError(Problem(f"{_OPTION}-tasks-dir", problem, "name one with YAML files"))
    problems = [
        Problem(model.spec, "lm-eval needs weights", f"name vllm:PATH, or leave out {_OPTION}")
        for model in models.values()
        if read_spec(model.spec).kind not in _WITH_WEIGHTS
    ]
    for name in set(harness.tasks) & set(others):
        what = "is also the name of a task of your own"
        problems.append(Problem(f"{_OPTION} {name}", what, "rename its file, or --task none"))
    for name in code_tasks(harness.tasks) if not is_allowed(GENERATED_CODE) else ():
        what = "runs the code that a model writes"
        remedy = f"in a sandbox, add {GENERATED_CODE}; or leave it out"
        problems.append(Problem(f"{_OPTION} {name}", what, remedy))
    if problems:
        raise InputError(problems)
    if any(_Kept(out, name).missing(harness, model) for name, model in models.items()):
        _check_names(harness)


async def run_harness(
    harness: Harness,
    models: Mapping[str, Generator],
    out: Path,
    on_progress: Callable[[str, int, int], None],
) -> dict[str, dict[str, Scores]]:
    """What each model scored, by task, then item; only what is not kept in `out` is run.

    A task that says of no item whether it was answered correctly has metrics alone. Raises
    InputError for one without either, and HarnessFailed.
    """
    found = {}
    for name, model in models.items():
        kept = _Kept(out, name)
        if missing := kept.missing(harness, model):
            tell = partial(on_progress, f"{name}: lm-eval")
            command = harness.command(missing, model.spec)
            tell(0, len(missing))
            async with aclosing(_worker(command, out / "lm-eval" / f"{name}.log")) as finished:
                async for row in finished:
                    kept.add(harness.identity(row["task"], model), row["scores"], row["metrics"])
                    tell(len(missing) - len(kept.missing(harness, model)), len(missing))
        found[name] = {task: kept.scores(harness.identity(task, model)) for task in harness.tasks}
    return found


def code_tasks(tasks: Iterable[str]) -> list[str]:
    """Those that run what the model writes."""
    return [task for task in tasks if task.startswith(RUNS_CODE)]


def harness_metrics(
    harness: Harness, models: Mapping[str, Generator], out: Path
) -> dict[str, dict[str, Metrics]]:
    """Every metric of each model's tasks, once they were run."""
    return {
        name: {
            task: _Kept(out, name).metrics(harness.identity(task, model)) for task in harness.tasks
        }
        for name, model in models.items()
    }


class _Kept:
    """The scores of one model, in `OUT/lm-eval/NAME.json`."""

    def __init__(self, out: Path, name: str) -> None:
        self._path = out / "lm-eval" / f"{name}.json"
        self._rows = read_json(self._path, list, "delete it") if self._path.exists() else []
        if not all(map(_is_kept, self._rows)):
            raise InputError(Problem(str(self._path), "is not a list of scores", "delete it"))

    def missing(self, harness: Harness, model: Generator) -> list[str]:
        """The tasks that are still to be run."""
        done = [row["identity"] for row in self._rows]
        return [task for task in harness.tasks if harness.identity(task, model) not in done]

    def scores(self, identity: Mapping[str, Any]) -> Scores:
        """Those of a task that was run."""
        found: Scores = next(r["scores"] for r in self._rows if r["identity"] == identity)
        return found

    def metrics(self, identity: Mapping[str, Any]) -> Metrics:
        """Those of a task that was run; none where an earlier version kept the scores alone."""
        found = next(r for r in self._rows if r["identity"] == identity)
        return dict(found.get("metrics", {}))

    def add(self, identity: Mapping[str, Any], scores: Scores, metrics: Metrics) -> None:
        """Keep them from now on."""
        self._rows.append({"identity": identity, "scores": scores, "metrics": metrics})
        write_json_atomic(self._path, self._rows)


def _is_kept(row: Any) -> bool:
    """Whether a row is as `_Kept.add` writes it, or as an earlier version did, without metrics."""
    if not isinstance(row, dict) or not isinstance(row.get("identity"), dict):
        return False
    metrics = row.get("metrics", {})
    figures = list(metrics.values()) if isinstance(metrics, dict) else [None]
    whole = all(isinstance(one, dict) and {"value", "count"} <= one.keys() for one in figures)
    return whole and all(map(_are_numbers, (row.get("scores"), *figures)))


def _are_numbers(given: Any) -> bool:
    return isinstance(given, dict) and None not in map(finite_number, given.values())


def _check_names(harness: Harness) -> None:
    process = subprocess.run(
        harness.command(harness.tasks), stdin=subprocess.DEVNULL, capture_output=True,
        env=os.environ | _QUIET, check=False,
    )  # fmt: skip
    if process.returncode:
        told = _last_line(process.stderr)
        raise InputError(Problem(_OPTION, f"lm-eval cannot list its tasks: {told}"))
    problems = [
        Problem(
            f"{_OPTION} {name}",
            "lm-eval has no such task",
            f"did you mean {' or '.join(near)}?" if near else "see `lm-eval ls tasks`",
        )
        for name, near in parse_json(process.stdout).items()
    ]
    if problems:
        raise InputError(problems)


async def _worker(command: list[str], log: Path) -> AsyncGenerator[dict[str, Any], None]:
    """Each task with its scores and metrics, as soon as it is finished. All else is printed to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
            env=os.environ | _QUIET,
            limit=_LONGEST,
            start_new_session=True,  # so that it is ended together with the children it started
        )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            row = parse_json(line)
            if not row["scores"] and not row["metrics"]:
                what = "has no figures: neither metrics nor items that are correct or not"
                raise InputError(Problem(f"{_OPTION} {row['task']}", what, "leave it out"))
            yield row
        code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if code:
        told = _last_line(log.read_bytes()) or f"exit code {code}"
        raise HarnessFailed(f"lm-eval stopped: {told}; see {log}")


def _digest(directory: Path) -> str:
    """Hash of the names and contents of all files."""
    digest = blake2b(digest_size=8)
    for path in sorted(directory.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = blake2b(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(directory)}\n{content}\n".encode())
    return digest.hexdigest()


def _last_line(printed: bytes) -> str:
    lines = printed.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
