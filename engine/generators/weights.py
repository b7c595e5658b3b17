"""Where a model's weights are, and whether there is a GPU to run them on."""

from pathlib import Path

__all__ = ["local_name", "uses_gpu"]


def uses_gpu() -> bool:
    """Whether torch sees a CUDA or ROCm device."""
    import torch

    return bool(torch.cuda.is_available())


def local_name(model: str) -> str:
    """What transformers loads: a directory or a hub's name. `embedded` is converted if need be."""
    if model == "embedded":
        from engine.generators.embedded import embedded_model

        return str(embedded_model())
    path = Path(model).expanduser()
    if path.is_dir() and not _is_model(path) and _is_model(path / "model"):
        return str(path / "model")
    return str(path) if path.exists() else model.removeprefix("hf:")


def _is_model(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / "adapter_config.json").is_file()
