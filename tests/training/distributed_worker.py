"""SFT and DPO in one process of several: `python -m tests.training.distributed_worker FOLDER`.

Writes what it did, and every file under FOLDER that its Python opened for writing, to
FOLDER/rank-N.json.
"""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    folder, rank = Path(sys.argv[1]), os.environ["RANK"]
    written: set[str] = set()

    def watch(event, arguments):
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            path, mode = str(arguments[0]), arguments[1] or ""
            if str(folder) in path and any(letter in mode for letter in "wax+"):
                written.add(os.path.relpath(path, folder))

    sys.addaudithook(watch)
    done = {"sft": train_sft(folder), "dpo": train_dpo(folder)}
    report = {"steps": done, "written": sorted(written)}
    (folder / f"rank-{rank}.json").write_text(json.dumps(report), encoding="utf-8")


def settings(folder: Path, name: str, model: str) -> dict:
    return {
        "model": str(folder / model),
        "dataset": str(folder / "rows.jsonl"),
        "out": str(folder / name),
        "eval_share": 0.2,
        "batch_size": 2,
        "max_length": 128,
        "save_every": 3,
    }


def train_sft(folder: Path) -> int:
    from training.trainers.config import SFTTrainingConfig
    from training.trainers.sft import run

    return run(SFTTrainingConfig.model_validate(settings(folder, "sft", "base"))).steps


def train_dpo(folder: Path) -> int:
    from training.trainers.config import DPOTrainingConfig
    from training.trainers.dpo import run

    lora = {"lora": {"r": 4}}
    return run(DPOTrainingConfig.model_validate(settings(folder, "dpo", "sft") | lora)).steps


if __name__ == "__main__":
    main()
