"""Publishing a finished model: tried before anything is trained, and made up for where it failed."""

from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem, Stopped, brief
from training.trainers.config import TrainingConfig

__all__ = ["publish", "refuse_unpublishable"]

_REMEDY = "log in with `hf auth login` or set HF_TOKEN, and name OWNER/NAME that you may write"


def refuse_unpublishable(config: TrainingConfig) -> None:
    """Make the repository that the model will be published in, private; nothing where it is there, or
    none is asked for. Raises InputError where it may not be written."""
    if config.push_to_hub is None:
        return
    try:
        _api().create_repo(config.push_to_hub, private=True, exist_ok=True)
    except Exception as error:  # the hub's, the network's, or one of the name
        what = f"{config.push_to_hub} cannot be written: {brief(error)}"
        raise InputError(Problem("push_to_hub", what, _REMEDY)) from error


def publish(config: TrainingConfig) -> None:
    """Upload the whole model, or its adapter where that is all there is. Raises Stopped where that
    fails: the training stands, and the same command publishes it."""
    if config.push_to_hub is None:
        return
    out = Path(config.out)
    folder = out / ("model" if (out / "model").is_dir() else "adapter")
    try:
        api = _api()
        api.create_repo(config.push_to_hub, private=True, exist_ok=True)
        api.upload_folder(repo_id=config.push_to_hub, folder_path=folder)
    except Exception as error:
        what = f"the model is in {folder} but not on the hub: {brief(error)}"
        raise Stopped(f"{what}; the same command publishes it") from error


def _api() -> Any:
    from huggingface_hub import HfApi

    return HfApi()
