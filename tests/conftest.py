"""What every test may rely on: no network, caches of its own, the same examples on every run."""

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = config.option.markexpr
    for marker in ON_REQUEST:
        if marker in asked:
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"only with -m {marker}"))
