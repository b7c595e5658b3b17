"""The README.md beside an exported dataset: what it holds, where it comes from, what was left out.

Its YAML front matter names the splits, so that `datasets.load_dataset(DIRECTORY)` finds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Card", "ExportResult", "write_card"]

_PURPOSE = {
    "trl-sft": "Prompts and the answers to train on (TRL's conversational prompt-completion rows)",
    "trl-preference": "Prompts, each with a chosen and a rejected answer (TRL's preference rows); "
    "`probability` is the judge's that the chosen one is the better",
    "trl-prompt": "Prompts alone (TRL's conversational prompt-only rows)",
    "llm-swarm": "Critiques and revisions in the columns of the `cai-conversation` datasets",
}


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written; `skipped` counts the records that gave no row, by reason.

    `mixed` rows came from other data, and `mix_missing` more were wanted than it had; `overridden`
    rows are as people decided; answers of `truncated` rows ran into their token limit.
    """

    path: Path
    rows: int
    test_rows: int
    skipped: Mapping[str, int]
    mixed: int = 0
    mix_missing: int = 0
    overridden: int = 0
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says. `constitution` has name, version and hash; `models` is role to spec."""

    run: str
    format: str
    complete: bool
    constitution: Mapping[str, Any]
    models: Mapping[str, str]
    prompts: Mapping[str, Any]
    test_share: float
    result: ExportResult

    @classmethod
    def of(
        cls,
        run_dir: Path,
        manifest: Mapping[str, Any],
        format: str,
        test_share: float,
        result: ExportResult,
    ) -> "Card":
        """The card of an export of the run that `manifest` is of."""
        return cls(
            run=run_dir.resolve().name,
            format=format,
            complete=bool(manifest.get("complete")),
            constitution=manifest.get("constitution", {}),
            models={role: str(spec) for role, spec in manifest.get("models", {}).items()},
            prompts=manifest.get("prompts", {}),
            test_share=test_share,
            result=result,
        )


def write_card(directory: Path, card: Card) -> None:
    """Write `README.md` into the dataset's directory."""
    text = f"---\n{_front_matter(card)}---\n\n{_body(card)}"
    (directory / "README.md").write_text(text, encoding="utf-8")


def _front_matter(card: Card) -> str:
    splits = {"train": card.result.rows, "test": card.result.test_rows}
    files = [{"split": name, "path": f"{name}.jsonl"} for name, rows in splits.items() if rows]
    return yaml.safe_dump(
        {
            "configs": [{"config_name": "default", "data_files": files}],
            "license": "other",
            "tags": ["constitutional-ai", "trl", str(card.format)],
        },
        sort_keys=False,
    )


def _body(card: Card) -> str:
    result, rules = card.result, card.constitution
    lines = [
        f"# {card.run}: {card.format}",
        "",
        f"{_PURPOSE[card.format]}, exported from a run of Solon.",
        *([] if card.complete else ["", "**The run was not complete when this was exported.**"]),
        "",
        "| | |",
        "|---|---|",
        f"| train rows | {result.rows:,} |",
        f"| test rows | {result.test_rows:,} |",
        f"| constitution | {rules.get('name', '?')} {rules.get('version', '')} "
        f"(`{rules.get('hash', '?')}`) |",
        f"| prompts | `{Path(str(card.prompts.get('path', '?'))).name}` "
        f"(`{str(card.prompts.get('hash', '?'))[:16]}`), {card.prompts.get('count', '?')} of them |",
        *(f"| {role} | `{spec}` |" for role, spec in card.models.items()),
        "",
        "## Split",
        "",
        _split(card),
        *_reviewed(result),
        *_truncated(result),
        *_left_out(result),
        *_mixed(result),
        "",
        "## Licence",
        "",
        "The prompts keep the licence of their source, and what models wrote is subject to the "
        "terms of those models. State both before publishing this.",
        "",
    ]
    return "\n".join(lines)


def _split(card: Card) -> str:
    if not card.test_share:
        return "Not split: every row is in `train.jsonl`."
    return (
        f"A hash of the prompt decides: {card.test_share:.0%} of the prompts are held out in "
        "`test.jsonl`, and no prompt is on both sides."
    )


def _reviewed(result: ExportResult) -> list[str]:
    if not result.overridden:
        return []
    told = f"{result.overridden:,} rows have people's verdict in place of the judge's"
    return ["", "## Reviewed", "", f"{told} (`method` is `review`)."]


def _truncated(result: ExportResult) -> list[str]:
    if not result.truncated:
        return []
    told = (
        f"An answer of {result.truncated:,} rows ran into its token limit (`truncated`). `solon "
        "train` does not learn that the turn ends there; leave these rows out for a trainer that "
        "appends the end of the turn."
    )
    return ["", "## Cut off", "", told]


def _left_out(result: ExportResult) -> list[str]:
    if not result.skipped:
        return []
    lines = ["", "## Records left out", "", "| reason | records |", "|---|---|"]
    by_count = sorted(result.skipped.items(), key=lambda item: -item[1])
    return [*lines, *(f"| {reason.replace('_', ' ')} | {count:,} |" for reason, count in by_count)]


def _mixed(result: ExportResult) -> list[str]:
    if not result.mixed:
        return []
    told = f"{result.mixed:,} rows come from other data (`constitution` is empty there)."
    if result.mix_missing:
        told += f" {result.mix_missing:,} more were wanted than it had."
    return ["", "## Mixed in", "", told]
