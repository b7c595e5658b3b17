"""What a model spec that stands in a file needs a permission for: code that vLLM would run, and keys
that a server would be sent."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from constitution.permissions import KEYS, REMOTE_CODE, Asks, Need, keys_permission
from constitution.problems import InputError
from engine.generators.spec import read_spec

__all__ = [
    "ENGINE_OPTIONS",
    "ENGINE_OPTIONS_BY_NAME",
    "MODEL_SPEC",
    "host_of",
    "keys_of",
    "servers_of",
    "specs_in",
    "urls_of",
]

_RUN_NO_CODE = frozenset(
    "allow_deprecated_quantization async_scheduling backend block_size cpu_offload_gb "
    "data_parallel_size disable_cascade_attn disable_custom_all_reduce disable_log_stats "
    "disable_sliding_window dtype enable_chunked_prefill enable_expert_parallel enable_lora "
    "enable_prefix_caching enable_sleep_mode enforce_eager generation_config "
    "gpu_memory_utilization kv_cache_dtype kv_cache_memory_bytes language_model_only "
    "logprobs_mode lora max_cpu_loras max_logprobs max_lora_rank max_loras max_model_len "
    "max_num_batched_tokens max_num_seqs method model_impl num_gpu_blocks_override optimization_level "
    "performance_mode pipeline_parallel_size quantization reasoning_effort revision "
    "scheduling_policy seed skip_mm_profiling stream_interval swap_space tensor_parallel_size "
    "thinking tokenizer tokenizer_revision".split()
)
"""Arguments of vLLM's engine that neither name code nor load any, nor send anything. Others
(`worker_cls`, `logits_processors`, `hf_token`, ...) may, so those of a later version do until read."""
_VALUES = {
    "distributed_executor_backend": ("mp", "uni"),
    "load_format": ("auto", "safetensors", "dummy", "bitsandbytes", "gguf", "mistral"),
    "tokenizer_mode": ("auto", "slow", "mistral"),
}
"""Arguments that do so with other values alone."""
_URL = re.compile(r"(?=https?:)", re.IGNORECASE)
_DROPPED = dict.fromkeys(map(ord, "\t\r\n"))
"""Characters that a URL is read without."""


def _engine_needs(options: Mapping[str, Any], *, by_key: bool) -> Iterator[Need]:
    for name, value in options.items():
        at = (name,) if by_key else ()
        if name == "trust_remote_code":
            if value is not False:
                yield Need(REMOTE_CODE, "would run code that comes with the model", at)
        elif name not in _RUN_NO_CODE and value not in _VALUES.get(name, ()):
            option = "" if by_key else f"has `{name[:40]}` and "
            yield Need(REMOTE_CODE, f"{option}may make vLLM run code that it names", at)


ENGINE_OPTIONS = Asks((REMOTE_CODE,), lambda options: _engine_needs(options, by_key=True))
"""Marks a mapping of vLLM's engine arguments."""


def _named_needs(named: Mapping[str, Mapping[str, Any]]) -> Iterator[Need]:
    for name, options in named.items():
        for need in _engine_needs(options, by_key=True):
            yield Need(need.permission, need.what, (name, *need.at))


ENGINE_OPTIONS_BY_NAME = Asks((REMOTE_CODE,), _named_needs)
"""Marks several such mappings, by name."""


def specs_in(value: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The specs of a setting that holds one, or several by name, each with its key."""
    match value:
        case str():
            yield (), value
        case Mapping():
            yield from (((name,), spec) for name, spec in value.items())


def keys_of(options: Mapping[str, Any]) -> list[str]:
    """The environment variables whose values a server's options send: `key_env`, and values of
    `headers` that begin with `$`."""
    named, headers = options.get("key_env"), options.get("headers")
    values = headers.values() if isinstance(headers, Mapping) else ()
    sent = [text[1:] for text in map(str, values) if text.startswith("$")]
    return list(dict.fromkeys([*([str(named)] if named else []), *sent]))


def servers_of(name: str) -> list[str]:
    """The HOST:PORT of each URL in the name of a `server:` spec, without user and password."""
    return list(dict.fromkeys(filter(None, map(host_of, urls_of(name)))))


def urls_of(name: str) -> list[str]:
    """The URLs in the name of a `server:` spec."""
    return [url.rstrip(",") for url in _URL.split(name.translate(_DROPPED))[1:]]


def host_of(url: str) -> str:
    """HOST:PORT of a URL, without user and password; empty if it has none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # the port is not a number
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def _needs(value: Any) -> Iterator[Need]:
    for at, spec in specs_in(value):
        try:
            kind, name, options = read_spec(spec)
        except InputError:  # said where it is opened
            continue
        if kind in ("vllm", "embedded"):  # whatever the backend: lm-eval chooses its own
            for need in _engine_needs(options, by_key=False):
                yield Need(need.permission, need.what, at)
        to = ", ".join(servers_of(name)) or "a server"
        for variable in keys_of(options):
            yield Need(keys_permission(variable), f"would send ${variable[:60]} to {to}", at)


MODEL_SPEC = Asks((REMOTE_CODE, KEYS), _needs)
"""Marks a setting that is a model spec, or several by name."""
