"""The README.md beside an exported dataset: what it holds, where it comes from, what was left out.

Its YAML front matter names the splits, so that `datasets.load_dataset(DIRECTORY)` finds them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.report.wording import in_words

__all__ = ["ExportResult", "write_card"]

_PURPOSE = {
    "trl-sft": "Prompts and the answers to train on (TRL's conversational prompt-completion rows)",
    "trl-preference": "Prompts, each with a chosen and a rejected answer (TRL's preference rows); "
    "`probability` is the judge's that the chosen one is the better",
    "trl-prompt": "Prompts alone (TRL's conversational prompt-only rows)",
    "llm-swarm": "Critiques and revisions in the columns of the `cai-conversation` datasets",
}
_INCOMPLETE = "**The run was not complete when this was exported.**"
_LICENCE = (
    "The prompts keep the licence of their source, and what models wrote is subject to the terms "
    "of those models. State both before publishing this."
)


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


def write_card(
    directory: Path,
    run: Path,
    manifest: Mapping[str, Any],
    format: str,
    test_share: float,
    result: ExportResult,
) -> None:
    """Write `README.md` into the dataset's directory, of an export of the run of `manifest`."""
    facts = _facts(manifest, result)
    split = "Not split: every row is in `train.jsonl`."
    if test_share:
        split = (
            f"A hash of the prompt decides: {test_share:.0%} of the prompts are held out in "
            "`test.jsonl`, and no prompt is on both sides."
        )
    lines = [
        f"# {run.resolve().name}: {format}",
        "",
        f"{_PURPOSE[format]}, exported by Solon from {_source(manifest)}.",
        *([] if manifest.get("complete") else ["", _INCOMPLETE]),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
    ]
    for title, told in (("Split", [split]), *_notes(result), ("Licence", [_LICENCE])):
        lines += [f"## {title}", "", *told, ""]
    text = f"---\n{_front_matter(format, result)}---\n\n" + "\n".join(lines)
    (directory / "README.md").write_text(text, encoding="utf-8")


def _source(manifest: Mapping[str, Any]) -> str:
    return "a run" if "constitution" in manifest else "a file of rows"


def _front_matter(format: str, result: ExportResult) -> str:
    splits = {"train": result.rows, "test": result.test_rows}
    files = [{"split": name, "path": f"{name}.jsonl"} for name, rows in splits.items() if rows]
    return yaml.safe_dump(
        {
            "configs": [{"config_name": "default", "data_files": files}],
            "license": "other",
            "tags": ["constitutional-ai", "trl", str(format)],
        },
        sort_keys=False,
    )


def _facts(manifest: Mapping[str, Any], result: ExportResult) -> dict[str, str]:
    counts = {"train rows": f"{result.rows:,}", "test rows": f"{result.test_rows:,}"}
    if "constitution" not in manifest:
        return counts
    rules, prompts = manifest["constitution"], manifest.get("prompts", {})
    named = f"{rules.get('name', '?')} {rules.get('version', '')}"
    file = f"`{Path(str(prompts.get('path', '?'))).name}` (`{str(prompts.get('hash', '?'))[:16]}`)"
    return {
        **counts,
        "constitution": f"{named} (`{rules.get('hash', '?')}`)",
        "prompts": f"{file}, {prompts.get('count', '?')} of them",
        **{role: f"`{spec}`" for role, spec in manifest.get("models", {}).items()},
    }


def _notes(result: ExportResult) -> Iterator[tuple[str, list[str]]]:
    """Title and lines of what only some exports have."""
    if result.overridden:
        told = f"{result.overridden:,} rows have people's verdict in place of the judge's"
        yield "Reviewed", [f"{told} (`method` is `review`)."]
    if result.truncated:
        told = (
            f"An answer of {result.truncated:,} rows ran into its token limit (`truncated`). "
            "`solon train` does not learn that the turn ends there; leave these rows out for a "
            "trainer that appends the end of the turn."
        )
        yield "Cut off", [told]
    if result.skipped:
        rows = (
            f"| {in_words(reason)} | {count:,} |"
            for reason, count in Counter(result.skipped).most_common()
        )
        yield "Records left out", ["| reason | records |", "|---|---|", *rows]
    if result.mixed:
        told = f"{result.mixed:,} rows come from other data (`constitution` is empty there)."
        if result.mix_missing:
            told += f" {result.mix_missing:,} more were wanted than it had."
        yield "Mixed in", [told]
