"""The process in which the harness runs: a JSON request on the command line, JSON lines out.

Without a model it prints which names are not tasks, each with the nearest that are; with one it
prints the scores of each task as it ends. What libraries print goes to standard error.
"""

import ctypes
import difflib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from constitution.reading import parse_json
from engine.generators.device import serving_dtype
from engine.generators.fingerprint import uses_gpu
from engine.generators.model_files import local_name
from engine.generators.vllm_platform import spawn_engines_on_gpu
from training.evaluation.harness.lm_eval_scores import metrics_of, scores_of

__all__: list[str] = []

_SEED = 1234
"""Of the few-shot examples, as the harness has it: scores are comparable with published ones."""
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
_OUR_OWN = ("backend", "batch_size", "device", "gather")
"""Options of Solon's generators that no engine has."""


def main() -> None:
    """Answer the request."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    request = parse_json(sys.argv[1])
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)
        if "model" in request:
            _run(request, answer)
        else:
            known = _task_manager(request).all_tasks
            unknown = [name for name in request["tasks"] if name not in set(known)]
            near = {name: difflib.get_close_matches(name, known, 3) for name in unknown}
            print(json.dumps(near), file=answer)


def _task_manager(request: Mapping[str, Any], metadata: dict[str, Any] | None = None) -> Any:
    """All that are known; the thousands that the harness ships are read only if one is asked for."""
    from lm_eval.tasks import TaskManager

    own = request["directory"]
    if own is not None:
        manager = TaskManager(include_path=own, include_defaults=False, metadata=metadata)
        if set(request["tasks"]) <= set(manager.all_subtasks):
            return manager
    return TaskManager(include_path=own, metadata=metadata)


def _run(request: Mapping[str, Any], answer: TextIO) -> None:
    import lm_eval
    from lm_eval.api.registry import get_model

    if request["code"]:
        os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    backend, arguments, batch = _backend(request["model"])
    manager = _task_manager(request, arguments)
    model = get_model(backend).create_from_arg_obj(arguments, {"batch_size": batch})
    for task in request["tasks"]:
        found = lm_eval.simple_evaluate(
            model=model,
            tasks=[task],
            task_manager=manager,
            limit=request["limit"],
            log_samples=True,
            bootstrap_iters=0,
            confirm_run_unsafe_code=request["code"],
            random_seed=_SEED,
            numpy_random_seed=_SEED,
            torch_random_seed=_SEED,
            fewshot_random_seed=_SEED,
        )
        samples = found["samples"]
        metrics = metrics_of(task, found.get("results", {}), samples)
        row = {"task": task, "scores": scores_of(samples), "metrics": metrics}
        print(json.dumps(row), file=answer, flush=True)


def _backend(model: Mapping[str, Any]) -> tuple[str, dict[str, Any], int | str]:
    """vLLM on a GPU, else transformers; with the arguments of its class, and the batch size."""
    gpu = uses_gpu()
    options = {key: value for key, value in model["options"].items() if key not in _OUR_OWN}
    lora = options.pop("lora", None)
    name = local_name(model["name"])
    if gpu and importlib.util.find_spec("vllm"):
        spawn_engines_on_gpu()
        adapter = {"lora_local_path": lora} if lora else {}
        return "vllm", {"pretrained": name, **options, **adapter}, "auto"
    kept = {
        key: options[key] for key in ("dtype", "revision", "trust_remote_code") if key in options
    }
    adapter = {"peft": lora} if lora else {}
    device = {} if gpu else {"device": "cpu"}
    dtype = serving_dtype(name, "cuda" if gpu else "cpu")
    arguments = {"dtype": dtype, **kept, **adapter, **device}
    return "hf", {"pretrained": name, **arguments}, "auto" if gpu else 8


if __name__ == "__main__":
    main()
