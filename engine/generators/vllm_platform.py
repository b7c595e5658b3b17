"""Starting vLLM well on the machine at hand: quietly, and with defaults that suit a CPU.

The engine core is a child process. Its output goes to a log file, named in every error, instead of
over the user's terminal.
"""

import difflib
import importlib.util
import logging
import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem, brief, missing
from engine.environment import cache_home
from engine.generators.background import quiet_descriptors
from engine.generators.fingerprint import uses_gpu

__all__ = [
    "cache_directory",
    "engine_defaults",
    "log_path",
    "memory_share",
    "require_vllm",
    "spawn_engines_on_gpu",
    "start_engine",
]

_LOGS_KEPT = 10
_SCRIPT_RAN_AGAIN = b", in _fixup_main_from_"
"""In the traceback of a spawned process that failed while it imported the main script again."""
_UNGUARDED = (
    "vLLM's engine process imports the script again, which then opens the model once more",
    'put what the script does under `if __name__ == "__main__":`',
)
_FEW_CORES = 4
_MEMORY = 0.88
"""Share of a GPU for several engines: vLLM's for one (0.92), less what a process takes besides."""
_IN_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""By its full name: what vLLM calls `uni` it refuses on a CPU, since it would not set the threads."""
_CPU_BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


def cache_directory() -> Path:
    """Where Solon keeps what it can make again: `$SOLON_CACHE` or the user's cache folder."""
    named = os.environ.get("SOLON_CACHE")
    path = Path(named) if named else cache_home() / "solon"
    path.mkdir(parents=True, exist_ok=True)
    return path


def log_path() -> Path:
    """The engine's log file of this process."""
    return cache_directory() / f"vllm-{os.getpid()}.log"


def require_vllm() -> None:
    """Raises InputError with the install command when vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise missing("vllm", "vLLM", "vllm", " on a CUDA machine, `make setup` on a CPU")


def memory_share(engines: int) -> float:
    """Of a GPU's memory, for each of several engines at once."""
    return round(_MEMORY / engines, 2)


def engine_defaults(*, parallel: bool = False, engines: int = 1) -> dict[str, Any]:
    """Engine arguments that suit this machine; on a GPU vLLM's own defaults do, but that `engines`
    at the same time share its memory.

    `parallel` engines have several workers.

    On a CPU without bf16 instructions float32 is five times faster than emulated bf16, and with
    few cores all of them compute (vLLM would keep one aside). Prompts are prefilled whole there: a
    seeded request whose prefill is cut in two kills vLLM's CPU worker, which rewinds a random
    generator that cannot be rewound (seen with 0.31). Prefixes are re-used by whole blocks, and a
    CPU's default of 128 tokens loses half a turn each time. On few cores the worker lives in the
    engine's process: one process less to start, and none that polls while the others compute.
    """
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    logging.getLogger("torch").setLevel(logging.ERROR)
    import torch

    if torch.version.cuda or torch.version.hip:
        return {} if engines == 1 else {"gpu_memory_utilization": memory_share(engines)}
    cores = sorted(os.sched_getaffinity(0))
    few: dict[str, str] = {}
    if len(cores) <= _FEW_CORES:
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", ",".join(map(str, cores)))
        os.environ.setdefault("OMP_NUM_THREADS", str(len(cores)))
        few = {} if parallel else {"distributed_executor_backend": _IN_PROCESS}
    available, total = _memory_kib()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(max(1, min(16, available // 2**22))))
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].split()
    return {
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "block_size": 32,
        "dtype": "auto" if any(flag in flags for flag in _CPU_BF16_FLAGS) else "float32",
        "gpu_memory_utilization": round(0.8 * available / total, 2),
        **few,
    }


def _memory_kib() -> tuple[int, int]:
    fields = {}
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        fields[name] = int(value.split()[0])
    return fields["MemAvailable"], fields["MemTotal"]


def spawn_engines_on_gpu() -> None:
    """vLLM forks its engine's process unless torch has begun to use CUDA, and does not see that it was
    merely asked for; a fork of such a process cannot use it."""
    if uses_gpu():
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"


def start_engine(spec: str, arguments: Mapping[str, Any]) -> Any:
    """An `AsyncLLM`. Raises InputError when vLLM refuses the model or the arguments, and when the
    script that asks for it runs again in vLLM's engine process."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(Problem(spec, *_UNGUARDED))
    logs = sorted(cache_directory().glob("vllm-*.log"), key=lambda log: log.stat().st_mtime)
    for log in logs[:-_LOGS_KEPT]:
        log.unlink(missing_ok=True)
    logged = log_path().stat().st_size if log_path().exists() else 0
    spawn_engines_on_gpu()
    with quiet_descriptors(log_path()):
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        logging.getLogger("vllm").setLevel(logging.ERROR)
        known = list(AsyncEngineArgs.__dataclass_fields__)
        for name in arguments:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                remedy = f"did you mean `{near[0]}`?" if near else "see vLLM's engine arguments"
                raise InputError(Problem(spec, f"vLLM has no engine argument `{name}`", remedy))
        try:
            # Without a usage context vLLM's limits are 128 sequences and 2,048 tokens on any GPU.
            return AsyncLLM.from_engine_args(
                AsyncEngineArgs(**arguments), usage_context=UsageContext.LLM_CLASS
            )
        except (ValueError, OSError, RuntimeError) as error:
            raise InputError(_refusal(spec, error, logged)) from error


def _refusal(spec: str, error: Exception, logged: int) -> Problem:
    """Why vLLM did not start, from its error and what it logged after the first `logged` bytes."""
    with log_path().open("rb") as log:
        log.seek(logged)
        if _SCRIPT_RAN_AGAIN in log.read():
            return Problem(spec, *_UNGUARDED)
    return Problem(
        spec, f"vLLM cannot serve it: {brief(error, 240)}", f"vLLM's log is {log_path()}"
    )
