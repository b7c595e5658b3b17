"""The steps of the check of a GPU, each in a process of its own: `python -m tests.gpu.steps STEP FOLDER`.

Each raises where something is wrong and returns figures; the last line of output is these as JSON. Without a
GPU the same steps run in a reduced form, so that they are known to work but for the device.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gpu import serving, training
from tests.gpu.place import Figures

__all__ = ["AT_ONCE", "STEPS"]

STEPS: dict[str, Callable[[Path], Figures]] = {
    "engine": serving.engine, "lora": serving.lora, "attention": training.attention,
    "sft": training.sft, "grpo": training.grpo,
    "roles": serving.roles, "fsdp": training.fsdp, "bench": serving.bench,
    "recipe": training.recipe, "grpo-sleeping": training.grpo_sleeping,
}  # fmt: skip
"""The most telling first, as time may run out."""
AT_ONCE = (("engine", "lora", "roles"), ("recipe",), ("attention", "sft", "fsdp"))
"""Steps that take little of a GPU: rows of them run beside each other. The others are timed, or have an engine
of TRL's, which does not start while another program gives memory back."""


@contextmanager
def _offline() -> Iterator[None]:
    """Nothing is fetched, and vLLM's children are gone at the end."""
    from engine.generators.background import kill_descendants

    os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", TOKENIZERS_PARALLELISM="false")
    try:
        yield
    finally:
        kill_descendants()


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with _offline():
        print(json.dumps(STEPS[sys.argv[1]](folder)), flush=True)
