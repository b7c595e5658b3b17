"""What a training needs of one GPU, from its settings alone."""

from dataclasses import replace

from engine.sizing.gpus import Machine
from engine.sizing.need import Need
from engine.sizing.sized import Sizes
from engine.sizing.specs import Name, server_notes
from training.trainers.config import OnlineTrainingConfig, TrainingConfig
from training.trainers.memory import Training
from training.trainers.sharding import Sharding

__all__ = ["training_need"]


def training_need(
    config: TrainingConfig,
    sizes: Sizes,
    machine: Machine | None,
    sharding: Sharding | None = None,
    name: Name = str,
) -> Need:
    """What a training needs, with what is not in the sum; `name` is what models are sized by."""
    model = sizes.of(name(config.model))
    if model.shape is None:
        return Need(notes=(f"not counted: {model}",))
    judge = config.first_judge if isinstance(config, OnlineTrainingConfig) else None
    training = Training(config, model, model.shape, sizes, sharding or Sharding(), name)
    notes = server_notes([judge] if judge else [], sizes, machine)
    if server := getattr(config, "vllm_server", None):
        notes += (f"the server at {server} that samples is not counted: it has GPUs of its own",)
    return replace(training.need(machine), notes=notes)
