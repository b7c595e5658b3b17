"""Figures on held-out rows that count rows and tokens, whatever the size of a batch.

TRL's trainers report means of their batches' means, in which the one pair of a last batch counts as
much as the eight of another, and duplicates fill up what processes share out unevenly.
"""

from collections.abc import Iterator
from typing import Any

__all__ = ["CountedEvaluation", "shares"]

_SIDES = ("chosen", "rejected")
_EXTREMES = {"min_reward": min, "max_reward": max}
_PAIRS = {"entropy": "tokens", "mean_token_accuracy": "chosen", "logits/chosen": "chosen"}
_PAIRS |= {"logits/rejected": "rejected"}
"""Of DPO, the figures that are means over tokens, and of which answers."""
_THUMBS = {f"{name}/{side}": side for name in ("rewards", "logps", "logits") for side in _SIDES}
"""Of KTO, those over the answers that people liked, or did not."""
_MARGIN = "rewards/margins"


def shares(rows: int, size: int, rank: int, world: int) -> Iterator[tuple[range, float]]:
    """The batches of `size` rows of one process of `world`, each with what it counts: full ones are
    dealt out in turn, and the rest, which cannot be dealt out evenly, is measured by every process."""
    whole = rows - rows % (size * world)
    for start in range(rank * size, whole, size * world):
        yield range(start, start + size), 1.0
    for start in range(whole, rows, size):
        yield range(start, min(start + size, rows)), 1 / world


class CountedEvaluation:
    """For a trainer of TRL to inherit from first: what `evaluate` logs and returns is counted."""

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Each held-out row once, over all processes."""
        from torch.utils.data import DataLoader

        trainer: Any = self
        data = trainer.eval_dataset if eval_dataset is None else eval_dataset
        arguments = trainer.args
        dealt = [
            *shares(
                len(data),
                arguments.per_device_eval_batch_size * max(1, arguments.n_gpu),
                arguments.process_index,
                arguments.world_size,
            )
        ]
        self._worth = iter([worth for _, worth in dealt])
        kept = trainer._remove_unused_columns(data, description="evaluation")
        return DataLoader(
            kept, batch_sampler=[list(rows) for rows, _ in dealt], collate_fn=trainer.data_collator
        )

    def evaluation_loop(self, *arguments: Any, **options: Any) -> Any:
        """As the parent's, with figures in which each row, or token, counts once."""
        trainer: Any = self
        self._sums: dict[str, tuple[float, float]] = {}
        self._seen: dict[str, float] = {}
        trainer._metrics["eval"].clear()
        output = super().evaluation_loop(*arguments, **options)  # type: ignore[misc]
        figures = {name: total / count for name, (total, count) in self._sums.items() if count}
        if self._thumbs and {f"rewards/{side}" for side in _SIDES} <= figures.keys():
            figures[_MARGIN] = figures["rewards/chosen"] - figures["rewards/rejected"]
        prefix = options.get("metric_key_prefix", "eval")
        output.metrics[f"{prefix}_loss"] = figures.pop("loss")
        trainer._metrics["eval"].update({name: [v] for name, v in (figures | self._seen).items()})
        return output

    def prediction_step(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """As the parent's; keeps what the batch counts, over all processes, with its figures."""
        import torch

        trainer: Any = self
        counts, kinds = _counts(inputs)
        result = super().prediction_step(model, inputs, *arguments, **options)  # type: ignore[misc]
        local = [float(result[0]) * counts[""], *counts.values()]
        self._thumbs = kinds is _THUMBS
        worth = next(self._worth)
        gathered = trainer.accelerator.gather(
            torch.tensor([local], dtype=torch.float32, device=trainer.args.device)
        )
        total, *summed = (worth * gathered.double().sum(dim=0)).tolist()
        over = dict(zip(counts, summed, strict=True))
        self._add("loss", total, over[""])
        for name, batches in trainer._metrics["eval"].items():
            if name in _EXTREMES:
                self._seen[name] = _EXTREMES[name](*batches, self._seen.get(name, batches[-1]))
            elif name != "num_tokens":
                count = over[kinds.get(name, "")]
                self._add(name, batches[-1] * count, count)
        trainer._metrics["eval"].clear()
        return result

    def _add(self, name: str, total: float, count: float) -> None:
        before = self._sums.get(name, (0.0, 0.0))
        self._sums[name] = before[0] + total, before[1] + count


def _counts(inputs: Any) -> tuple[dict[str, float], dict[str, str]]:
    """What a batch counts: under "" learned tokens (SFT), pairs, or answers; and which figures count
    otherwise, by which of the counts."""
    if "labels" in inputs:
        return {"": float((inputs["labels"][..., 1:] != -100).sum())}, {}
    rows = float(inputs["input_ids"].shape[0])
    if "label" in inputs:
        liked = float(inputs["label"].sum())
        return {"": rows, "chosen": liked, "rejected": rows - liked}, _THUMBS
    if "completion_mask" not in inputs:
        return {"": rows / 2}, {}
    tokens = dict(
        zip(_SIDES, (float(m.sum()) for m in inputs["completion_mask"].chunk(2)), strict=True)
    )
    return {"": rows / 2, "tokens": sum(tokens.values()), **tokens}, _PAIRS
