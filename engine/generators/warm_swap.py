"""Another checkpoint's weights into a running vLLM engine, which takes a minute to restart.

Evaluating several checkpoints of one model needs one start. Only weights are exchanged: where
anything else differs, or may (architecture, shapes, dtype, vocabulary, options), the engine is
restarted, and so it is when any weight of the running model was not replaced.
"""

from pathlib import Path
from typing import Any

from constitution.reading import parse_json, read_json

__all__ = ["SWAP_WORKER", "SwapWorker", "swap_weights", "swappable"]

SWAP_WORKER = f"{__name__}.SwapWorker"
"""What vLLM imports in its worker processes (`worker_extension_cls`)."""

_HARMLESS_CONFIG = frozenset({"_name_or_path", "transformers_version", "use_cache"})
_HARMLESS_OPTIONS = frozenset(
    "tensor_parallel_size gpu_memory_utilization max_num_seqs max_num_batched_tokens enforce_eager "
    "max_model_len kv_cache_memory_bytes block_size enable_prefix_caching disable_log_stats dtype "
    "enable_chunked_prefill".split()
)


class SwapWorker:
    """What a vLLM worker learns: to replace all of its model's weights or say which are left."""

    model_runner: Any

    def solon_swap_weights(self, path: str) -> list[str]:
        """Load the checkpoint at `path`; returns the names of parameters that it left alone.

        A head tied to the embedding is packed for the CPU in a copy of its own, which vLLM (0.31)
        does not renew when the embedding is loaded again, so it is packed once more here.
        """
        model = self.model_runner.get_model()
        expected = {name for name, _ in model.named_parameters()}
        loaded: set[str] = set()
        load = model.load_weights

        def load_and_note(weights: Any) -> Any:
            found = load(weights)
            loaded.update(found or ())
            return found

        model.load_weights = load_and_note
        try:
            self.reload_weights(weights_path=path)  # type: ignore[attr-defined]
        finally:
            del model.load_weights
        for layer in model.modules():
            weight = getattr(layer, "weight", None)
            if hasattr(layer, "cpu_linear") and weight is not None and weight.numel():
                layer.quant_method.process_weights_after_loading(layer)
        return sorted(expected - loaded)


def swappable(
    old: str | Path, new: str | Path, old_options: dict[str, Any], new_options: dict[str, Any]
) -> bool:
    """Whether an engine serving the directory `old` can serve `new` by exchanging weights."""
    if old_options != new_options or not old_options.keys() <= _HARMLESS_OPTIONS:
        return False
    before, after = _anatomy(Path(old).expanduser()), _anatomy(Path(new).expanduser())
    return before is not None and before == after


async def swap_weights(engine: Any, path: str | Path) -> bool:
    """Replace the weights of an idle `AsyncLLM`; False if its model is now in doubt.

    Raises what vLLM raises; then, too, the engine is of no more use.
    """
    left = await engine.collective_rpc("solon_swap_weights", args=(str(path),))
    return not any(left) and bool(await engine.reset_prefix_cache())


def _anatomy(directory: Path) -> Any:
    """All that must be equal: configuration, end tokens, and each tensor's dtype and shape.

    None for what is not a local directory of safetensors, or is quantised.
    """
    shards = sorted(directory.glob("*.safetensors")) if directory.is_dir() else []
    config = _json(directory / "config.json")
    if not shards or not config or "quantization_config" in config:
        return None
    config["dtype"] = config.pop("torch_dtype", None) or config.get("dtype")
    kept = {key: value for key, value in config.items() if key not in _HARMLESS_CONFIG}
    ends = _json(directory / "generation_config.json").get("eos_token_id")
    tensors = {name: tensor for shard in shards for name, tensor in _tensors(shard).items()}
    return kept, ends if isinstance(ends, list) else [ends], tensors


def _json(path: Path) -> dict[str, Any]:
    return read_json(path, dict) if path.exists() else {}


def _tensors(shard: Path) -> dict[str, tuple[Any, Any]]:
    """Dtype and shape of each tensor, from the header: its length in 8 bytes, then JSON."""
    with shard.open("rb") as file:
        header = parse_json(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    return {name: (tensor["dtype"], tensor["shape"]) for name, tensor in header.items()}
