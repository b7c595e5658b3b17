"""What every test may rely on: no network, caches and cores of its own, the same examples on every run."""

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest

ON_REQUEST = ("gpu", "network")
"""Markers of tests that run only when `-m` names them."""

hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure(config: pytest.Config) -> None:
    """Before any library reads them. The embedded model's cache stays the user's: it is slow to make."""
    caches = Path(tempfile.mkdtemp(prefix="solon-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(caches, ignore_errors=True))
    os.environ.update(
        HF_HOME=str(caches / "huggingface"),
        VLLM_CACHE_ROOT=str(caches / "vllm"),
        HF_HUB_OFFLINE="0" if "network" in config.option.markexpr else "1",
        HF_HUB_DISABLE_TELEMETRY="1",
        VLLM_NO_USAGE_STATS="1",
        TOKENIZERS_PARALLELISM="false",
    )
    os.environ.setdefault("COLUMNS", "100")
    _keep_to_own_cores()


def _keep_to_own_cores() -> None:
    """One of several test processes computes on its share of the cores.

    The threads of torch and vLLM spin while they wait for each other, and would take them all.
    """
    worker, workers = (os.environ.get(f"PYTEST_XDIST_WORKER{name}") for name in ("", "_COUNT"))
    if worker and workers and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) >= int(workers):
            os.sched_setaffinity(0, cores[int(worker.removeprefix("gw")) :: int(workers)])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _longest_files_first(items)
    asked = config.option.markexpr
    for marker in ON_REQUEST:
        if marker in asked:
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"only with -m {marker}"))


def _longest_files_first(items: list[pytest.Item]) -> None:
    """So that of several test processes none is left alone with a long file at the end."""
    ranks: dict[Path, int] = {}
    for item in items:
        marks = (bool(item.get_closest_marker(name)) for name in ("vllm", "slow", "browser"))
        rank = next((place for place, marked in enumerate(marks) if marked), 3)
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])
