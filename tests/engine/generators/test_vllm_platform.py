"""Starting vLLM: a script without a main guard is told so, in the child and in the parent."""

import importlib.util
import os
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


H100 = """
import sys
from types import SimpleNamespace
from engine.generators import vllm_platform
vllm_platform.engine_defaults()
from vllm.engine import arg_utils
from vllm.v1.engine import async_llm

def table_of_a_full_gpu(arguments, usage_context=None):
    arg_utils.current_platform = SimpleNamespace(
        get_device_total_memory=lambda: 80 * 2**30, get_device_name=lambda: "NVIDIA H100 80GB HBM3",
        is_tpu=lambda: False, is_cpu=lambda: False)
    arguments.enable_chunked_prefill = True
    model = SimpleNamespace(max_model_len=8192, is_multimodal_model=False, is_mm_prefix_lm=False)
    parallel = SimpleNamespace(use_batched_dp_moe=False)
    arguments._set_default_max_num_seqs_and_batched_tokens_args(usage_context, model, parallel)
    return arguments

async_llm.AsyncLLM.from_engine_args = staticmethod(table_of_a_full_gpu)
started = vllm_platform.start_engine("vllm:mine", {"model": sys.argv[1]})
print(started.max_num_seqs, started.max_num_batched_tokens)
"""


@pytest.mark.slow
def test_an_h100_is_filled_as_the_offline_interface_fills_it(tmp_path):
    """Through vLLM's own table, which a process of its own reads as if an H100 were there."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    environment = {**os.environ, "SOLON_CACHE": str(tmp_path)}
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    command = [sys.executable, "-c", H100, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["1024", "16384"], done.stderr


@pytest.mark.parametrize(("gpu", "expected"), [(True, "spawn"), (False, None)])
def test_engines_are_spawned_where_a_fork_could_not_use_the_gpu(gpu, expected, monkeypatch):
    monkeypatch.delenv("VLLM_WORKER_MULTIPROC_METHOD", raising=False)
    monkeypatch.setattr(vllm_platform, "uses_gpu", lambda: gpu)
    vllm_platform.spawn_engines_on_gpu()
    assert os.environ.get("VLLM_WORKER_MULTIPROC_METHOD") == expected
    monkeypatch.delenv("VLLM_WORKER_MULTIPROC_METHOD", raising=False)
