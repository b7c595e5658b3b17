"""One contender of the training benchmark, in a process of its own: prints what it measured.

    python -m scripts.bench.trainers plain dpo rows.jsonl out '{"model": "DIR", "batch_size": 4}'

`plain` is TRL as its example scripts use it: a configuration with TRL's defaults, the trainer,
`train`, `save_model`. `solon` is `solon train`. Settings are those of `solon train`, or of TRL's
configuration where only `plain` takes them: so the ablations are made.
"""

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["TrainingRunFigures", "main"]


@dataclass(frozen=True, slots=True)
class TrainingRunFigures:
    """What one training took, from the rows on disk to the model on disk, imports left out."""

    seconds: float
    cpu_seconds: float
    """Of all threads: on a shared machine the fairer of the two."""
    memory: int
    """Bytes resident in the process at its largest."""
    gpu_memory: int
    """Bytes, as torch allocated them; 0 without a GPU."""
    loss: float
    """Mean over the training: a contender that trains on something else shows here."""


def plain(task: str, rows: Path, out: Path, settings: dict[str, Any]) -> float:
    """TRL by itself, told where there is no GPU, as it demands. The mean training loss."""
    import torch
    import trl
    from datasets import load_dataset
    from peft import LoraConfig

    options: dict[str, Any] = {"use_cpu": not torch.cuda.is_available(), "report_to": "none"}
    options |= {_TRL_NAMES.get(name, name): value for name, value in settings.items()}
    model, lora = options.pop("model"), options.pop("lora", None)
    columns, kind, trainer_kind = {
        "sft": (["prompt", "completion"], trl.SFTConfig, trl.SFTTrainer),
        "dpo": (["prompt", "chosen", "rejected"], trl.DPOConfig, trl.DPOTrainer),
    }[task]
    adapter: dict[str, Any] = {"target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    trainer: Any = trainer_kind(
        model=model,
        args=kind(output_dir=str(out), **options),
        train_dataset=load_dataset("json", data_files=str(rows), split="train").select_columns(
            columns
        ),
        peft_config=lora and LoraConfig(r=lora["r"], lora_alpha=lora["alpha"], **adapter),
    )
    trained = trainer.train()
    trainer.save_model(str(out))
    return float(trained.training_loss)


_TRL_NAMES = {
    "epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "gradient_accumulation": "gradient_accumulation_steps",
}
"""Our names of what both contenders take."""


def solon(task: str, rows: Path, out: Path, settings: dict[str, Any]) -> float:
    """`solon train`, nothing held out since `plain` holds nothing out."""
    from training.trainers import dpo, sft
    from training.trainers.config import DPOTrainingConfig, SFTTrainingConfig

    kinds: Any = {"sft": (sft.run, SFTTrainingConfig), "dpo": (dpo.run, DPOTrainingConfig)}
    run, kind = kinds[task]
    told = {"dataset": str(rows), "out": str(out), "eval_share": 0.0, **settings}
    return float(run(kind.model_validate(told)).metrics["train_loss"])


def main() -> None:
    """Measure the contender that the arguments name, and print it as JSON on the last line."""
    contender, task, rows, out, settings = sys.argv[1:6]
    import torch
    from datasets import load_dataset  # noqa: F401  (imported before the clock starts)
    from trl import DPOTrainer, SFTTrainer  # noqa: F401

    run = plain if contender == "plain" else solon
    began, cpu = time.perf_counter(), time.process_time()
    loss = run(task, Path(rows), Path(out), json.loads(settings))
    measured = TrainingRunFigures(
        seconds=time.perf_counter() - began,
        cpu_seconds=time.process_time() - cpu,
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        gpu_memory=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
        loss=loss,
    )
    print(json.dumps(asdict(measured)), flush=True)
    os._exit(0)  # libraries' threads are not waited for


if __name__ == "__main__":
    main()
