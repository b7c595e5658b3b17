"""Models by name: where their configuration is, and what they are sized by where there is none."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from constitution.problems import InputError, brief
from constitution.reading import read_json, read_text
from engine.environment import hub_home
from engine.generators.model_files import HUB_NAME, base_of, model_within
from engine.sizing.shape import ModelShape, UnknownShape, shape_from_count, shape_of

__all__ = ["SizedModel", "Sizes"]

_COUNT = re.compile(r"(?<![\w.])(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.IGNORECASE)
_ACTIVE = re.compile(r"(?<![\w.])a(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)
_UNIT = {"b": 10**9, "m": 10**6}
_OF_EXPERTS = 0.83
"""Share of NxM parameters that a mixture of N experts has, as they have their attention in common:
Mixtral 8x7B has 46.7, 8x22B 141 billion."""
_TRUE = {"1", "true", "yes", "on"}
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_HUB, _HUB_SECONDS = "https://huggingface.co", 5
_EMBEDDED = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}
"""SmolLM2-135M-Instruct, which is made from a wheel at its first use."""


@dataclass(frozen=True, slots=True)
class SizedModel:
    """A model's shape and what says so, in words; no shape where nothing does. `bits` of a weight as
    its files hold it, where these are quantised."""

    name: str
    shape: ModelShape | None
    source: str
    bits: int | None = None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name}: its size is not known ({self.source})"
        billions = self.shape.parameters / 10**9
        return f"{self.name}: {billions:.3g} billion parameters ({self.source})"


class Sizes:
    """Sizes of models by name, each found once. `ask_hub` is whether a configuration that is not on
    this machine may be asked for on the hub: a few kilobytes, which the hub's own client keeps."""

    def __init__(self, *, ask_hub: bool = False) -> None:
        self._ask_hub = ask_hub
        self.found: dict[str, SizedModel] = {}

    def of(self, name: str) -> SizedModel:
        """By `embedded`, a directory or a hub's name. Raises nothing: what cannot be sized says so."""
        name = name.removeprefix("hf:")
        if name not in self.found:
            self.found[name] = self._sized(name)
        return self.found[name]

    def _sized(self, name: str) -> SizedModel:
        try:
            config, source = self._config(name)
            bits = _bits(config)
            return SizedModel(name, _shape(config), source, bits)
        except (InputError, UnknownShape) as error:
            return _by_name(name, str(error))

    def _config(self, name: str) -> tuple[dict[str, Any], str]:
        """Raises UnknownShape where there is none, and InputError for one that cannot be read."""
        if name == "embedded":
            return _EMBEDDED, "SmolLM2-135M-Instruct"
        path = Path(name).expanduser()
        if path.is_dir():
            return self._of_directory(path)
        if not HUB_NAME.fullmatch(name):
            raise UnknownShape("there is no such directory")
        if cached := _cached(name):
            return read_json(cached, dict), "its config.json"
        if self._ask_hub and not _is_offline():
            return read_json(_fetched(name), dict), "its config.json on the hub"
        raise UnknownShape("its config.json is not on this machine")

    def _of_directory(self, path: Path) -> tuple[dict[str, Any], str]:
        folder = model_within(path)
        if (folder / "config.json").is_file():
            return read_json(folder / "config.json", dict), "its config.json"
        base = base_of(str(folder))
        if Path(base).expanduser() in (path, folder):
            raise UnknownShape("its directory has no config.json")
        return self._config(base)


def _shape(config: Mapping[str, Any]) -> ModelShape:
    """By formula, or counted by transformers on its `meta` device, which holds no weights.

    A formula needs milliseconds where importing torch takes seconds; it is checked against this
    count for every family that it knows.
    """
    try:
        return shape_of(config)
    except UnknownShape as unknown:
        try:
            from engine.sizing.counted import counted_shape

            return counted_shape(config)
        except (ImportError, UnknownShape):
            raise unknown from None


def _bits(config: Mapping[str, Any]) -> int | None:
    """Of a weight in files that are quantised already, as AWQ's, GPTQ's and FP8's configurations say."""
    told = config.get("quantization_config")
    if not isinstance(told, dict):
        return None
    bits = told.get("bits")
    if isinstance(bits, int) and 1 <= bits <= 16:
        return bits
    if told.get("load_in_4bit"):
        return 4
    return 8 if "8" in str(told.get("quant_method")) or told.get("load_in_8bit") else None


def _by_name(name: str, why: str) -> SizedModel:
    """By the number in the name (`7B`, `8x7B`, `135M`), if there is one."""
    read = _COUNT.search(name.rpartition("/")[2])
    if read is None:
        return SizedModel(name, None, f"{why}, and its name has no number")
    experts, size, unit = read.groups()
    count = float(size) * _UNIT[unit.lower()] * (int(experts) * _OF_EXPERTS if experts else 1)
    if not 10**6 <= count <= 10**14:
        return SizedModel(name, None, f"{why}, and its name has no number")
    active = _ACTIVE.search(name)
    used = round(float(active[1]) * 10**9) if active else None
    return SizedModel(name, shape_from_count(round(count), used), f"by its name alone: {why}")


def _cached(name: str) -> Path | None:
    """The newest configuration in the hub client's cache on this machine."""
    cache = Path(os.environ.get("HF_HUB_CACHE") or hub_home() / "hub").expanduser()
    folder = cache / f"models--{name.replace('/', '--')}"
    main = folder / "refs" / "main"
    if main.is_file():
        config = folder / "snapshots" / read_text(main).strip() / "config.json"
        if config.is_file():
            return config
    found = [path for path in folder.glob("snapshots/*/config.json") if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _is_offline() -> bool:
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").lower() in _TRUE for name in names)


def _fetched(name: str) -> Path:
    """Through the hub's own client. Raises UnknownShape where that fails, for whatever reason."""
    _refuse_unreachable()
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(name, "config.json", etag_timeout=_HUB_SECONDS))
    except Exception as error:  # noqa: BLE001  the client raises what its transport raises
        raise UnknownShape(f"the hub gave no config.json: {brief(error, 120)}") from None


def _refuse_unreachable() -> None:
    """Raise UnknownShape where there is no way to the hub: its client would try for half a minute."""
    address = urlsplit(os.environ.get("HF_ENDPOINT") or _HUB)
    if any(os.environ.get(name) for name in _PROXIES):
        return
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname or "", port), _HUB_SECONDS).close()
    except (OSError, ValueError):
        raise UnknownShape(
            "its config.json is not on this machine, nor is the hub reached"
        ) from None
