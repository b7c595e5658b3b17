"""Starting vLLM: a script without a main guard is told so, in the child and in the parent."""

import subprocess
import sys

import pytest

from constitution.problems import Problem
from engine.generators import vllm_platform

SCRIPT = """
import multiprocessing
from engine.generators.vllm_platform import start_engine

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=print)
    process.start()
    process.join()
else:
    start_engine("vllm:mine", {})
"""


def test_a_script_that_runs_again_in_a_spawned_process_starts_no_second_engine(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True
    )
    assert 'under `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
    assert vllm_platform._SCRIPT_RAN_AGAIN.decode() in done.stderr


@pytest.mark.parametrize(
    ("new", "word"),
    [
        (b"File spawn.py, line 297, in _fixup_main_from_path\n", "__main__"),
        (b"CUDA out of memory\n", "cannot serve it: Engine core initialization failed"),
    ],
)
def test_only_what_was_logged_by_this_start_counts(tmp_path, monkeypatch, new, word):
    log, old = tmp_path / "vllm.log", b"an earlier start, in _fixup_main_from_path\n"
    log.write_bytes(old + new)
    monkeypatch.setattr(vllm_platform, "log_path", lambda: log)
    error = RuntimeError("Engine core initialization failed.\nSee root cause above.")
    problem = vllm_platform._refusal("vllm:mine", error, len(old))
    assert isinstance(problem, Problem)
    assert word in str(problem)
    assert "\n" not in str(problem)
