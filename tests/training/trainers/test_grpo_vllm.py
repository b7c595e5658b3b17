"""How GRPO samples: which of vLLM's ways, with what arguments of TRL, and what is refused before."""

import functools
import importlib.util
import re
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from constitution.permissions import REMOTE_CODE, needs_of
from constitution.problems import InputError
from training.trainers import grpo
from training.trainers.config import GRPOTrainingConfig

GIVEN = {"model": "m", "dataset": "d", "out": "o", "judge": "scripted", "constitution": "base"}
SERVER = "http://gpu-2:8000"


def config(**changes):
    return GRPOTrainingConfig.model_validate(GIVEN | changes)


@functools.cache
def known_to_trl():
    """Its names, read and not imported: that takes seconds."""
    source = Path(importlib.util.find_spec("trl").origin).with_name("trainer") / "grpo_config.py"
    return set(re.findall(r"^    (\w+):", source.read_text(encoding="utf-8"), re.MULTILINE))


def arguments(monkeypatch, chosen, *, gpu=True, vllm=True):
    """Of TRL, each of which it really has."""
    known, find = known_to_trl(), importlib.util.find_spec
    monkeypatch.setattr(grpo, "uses_gpu", lambda: gpu)
    monkeypatch.setattr(grpo, "arguments", lambda config: {})
    monkeypatch.setattr(
        grpo.importlib.util,
        "find_spec",
        lambda name: vllm or None if name == "vllm" else find(name),
    )
    monkeypatch.setitem(sys.modules, "trl", SimpleNamespace(GRPOConfig=dict, GRPOTrainer=None))
    _, found = grpo._grpo(chosen)
    assert found.keys() <= known
    return found


@pytest.mark.parametrize(
    ("changes", "machine", "used"),
    [
        ({}, {}, True),
        ({}, {"gpu": False}, False),
        ({}, {"vllm": False}, False),
        ({"vllm": False}, {}, False),
        ({"lora": {"quantize": "4bit"}}, {}, False),
        ({"lora": {}}, {}, True),
        ({"vllm_server": SERVER}, {"gpu": False}, True),
    ],
)
def test_vllm_samples_where_it_can(monkeypatch, changes, machine, used):
    assert arguments(monkeypatch, config(**changes), **machine)["use_vllm"] is used


def test_the_ways_of_vllm_are_trls(monkeypatch):
    beside = config(vllm_sleep=True, vllm_tensor_parallel=2, vllm_memory=0.4, max_length=2048)
    found = arguments(monkeypatch, beside)
    assert found["vllm_mode"] == "colocate" and found["vllm_enable_sleep_mode"]
    assert found["vllm_tensor_parallel_size"] == 2 and found["vllm_gpu_memory_utilization"] == 0.4
    assert found["vllm_max_model_length"] == 2048
    found = arguments(monkeypatch, config(vllm_server=SERVER))
    assert (found["vllm_mode"], found["vllm_server_base_url"]) == ("server", SERVER)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"vllm": False, "vllm_sleep": True}, "take one of them out"),
        ({"vllm_server": SERVER, "vllm_tensor_parallel": 2}, "has its own memory and GPUs"),
        ({"vllm_server": "gpu-2:8000"}, "write http://HOST:PORT"),
        ({"vllm_server": SERVER, "lora": {"quantize": "4bit"}}, "cannot be handed to vLLM"),
    ],
)
def test_ways_that_exclude_each_other_are_refused(changes, told):
    with pytest.raises(ValidationError, match=told):
        config(**changes)


def test_a_strangers_server_needs_a_permission():
    """TRL exchanges pickled objects with it."""
    (need,) = needs_of(config(vllm_server=SERVER))
    assert need.permission == REMOTE_CODE and need.at == ("vllm_server",)


def test_processes_must_be_shared_out(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="vllm_tensor_parallel: 4 processes are not shared out"):
        grpo._check(config(vllm_tensor_parallel=3))


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_server_is_asked_before_anything_is_read():
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        grpo._find_server(f"{url}/", "m")
    told = r"does not answer: .*; start `VLLM_SERVER_DEV_MODE=1 vllm serve m .*\"nccl\""
    with pytest.raises(InputError, match=told):
        grpo._find_server(url, "m")
