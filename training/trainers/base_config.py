"""What every trainer's configuration has."""

from typing import Annotated, Literal

from pydantic import Field

from constitution.permissions import PUSH, REMOTE_CODE, Asks, Need, switched
from constitution.typed_yaml import Settings
from engine.input_files import InputFile
from engine.setting_fields import Seed
from engine.settings import Tracker
from training.trainers.budget import Budget

__all__ = ["LoraSettings", "TrainingConfig"]

_KERNEL = Asks(
    (REMOTE_CODE,),
    lambda value: (
        [Need(REMOTE_CODE, "would fetch a kernel and run it")] if value == "kernel" else []
    ),
)


class LoraSettings(Settings):
    """Low-rank adapters (Hu et al. 2021) instead of training every weight."""

    r: int = Field(default=16, ge=1, description="Rank.")
    alpha: int = Field(default=32, ge=1, description="Scale; the update counts alpha / r.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="On the adapter's input.")
    target_modules: str | list[str] = Field(
        default="all-linear", description="Names of modules, or all linear ones but the head."
    )
    merge: bool = Field(
        default=True, description="Write the model with the adapter merged in, too."
    )
    quantize: Literal["4bit"] | None = Field(
        default=None, description="Keep the base in 4 bits (QLoRA), a quarter of its memory."
    )


class TrainingConfig(Settings):
    """What every trainer has. Batch sizes are rows (or pairs) on one device at a time."""

    model: str = Field(min_length=1, description="A directory, a hub's name, or `embedded`.")
    dataset: str = Field(
        min_length=1, description="A directory that `solon export` wrote, a file, or hf:NAME."
    )
    out: str = Field(min_length=1, description="Directory to write.")
    test_dataset: Annotated[str | None, InputFile()] = Field(
        default=None, description="Held-out rows; test.jsonl beside the rows if there is one."
    )
    eval_share: float = Field(
        default=0.05, ge=0, lt=1, description="Prompts held out where there are no test rows."
    )
    seed: Seed = 0
    epochs: float = Field(default=1.0, gt=0, description="Passes over the rows.")
    max_steps: int | None = Field(default=None, ge=1, description="Overrides `epochs`.")
    budget: Budget = Budget()
    learning_rate: float = Field(
        default=2e-5, gt=0, lt=1, description="Its peak; LoRA wants about ten times as much."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="cosine", description="Of the learning rate, after the warm-up."
    )
    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises."
    )
    batch_size: int = Field(default=8, ge=1, description="Rows, or pairs, on one device at a time.")
    gradient_accumulation: int = Field(default=1, ge=1, description="Batches in a step.")
    max_length: int = Field(
        default=1024, ge=8, description="Tokens of prompt and answer; longer rows are left out."
    )
    lora: LoraSettings | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="To compute in; auto is bfloat16 on a GPU that has it, float16 on one that has not.",
    )
    attention: Annotated[Literal["auto", "flash", "kernel", "varlen", "sdpa"], _KERNEL] = Field(
        default="auto",
        description="flash is flash-attn's, kernel the hub's, varlen torch's own for rows that share a "
        "sequence; auto: the first of flash and varlen that the GPU and the model have, else sdpa.",
    )
    gradient_checkpointing: bool | None = Field(
        default=None, description="Recompute activations to save memory; null: on a GPU."
    )
    liger: bool | None = Field(
        default=None, description="Liger's kernels; null: on a GPU, if liger-kernel is installed."
    )
    report_to: Tracker = Field(default="none", description="Where metrics go besides log.jsonl.")
    save_every: int | None = Field(
        default=None,
        ge=1,
        description="Steps between checkpoints; null: one every ten minutes, deleted at the end.",
    )
    keep_checkpoints: int = Field(
        default=1,
        ge=0,
        description="The newest N; to resume takes one. 0: none, and an interrupted training starts over.",
    )
    chat_template: Annotated[str | None, InputFile()] = Field(
        default=None, description="A Jinja file, for a model that has none."
    )
    trust_remote_code: Annotated[
        bool, switched(REMOTE_CODE, "would run code that comes with the model")
    ] = Field(default=False, description="Run code that comes with the model.")
    push_to_hub: Annotated[str | None, switched(PUSH, "would publish the model")] = Field(
        default=None, description="OWNER/NAME to publish the model as, privately."
    )
