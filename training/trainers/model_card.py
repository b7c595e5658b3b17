"""The README.md beside a trained model: what it was trained on, how, and what was measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from constitution.reading import NotJson, parse_json
from engine.report.wording import setting_rows

__all__ = ["write_model_card"]

_DOES = {
    "sft": "Supervised fine-tuning on answers revised under a constitution.",
    "dpo": "Direct preference optimization on AI feedback under a constitution.",
    "reward-model": "A reward model of AI feedback under a constitution: one number for a "
    "conversation, higher where the answer fits the constitution better.",
    "grpo": "Group relative policy optimization with rewards under a constitution.",
}


def write_model_card(file: Path, manifest: Mapping[str, Any]) -> None:
    """Write the card of a finished training, in Hugging Face's form."""
    front = yaml.safe_dump(_front_matter(manifest), sort_keys=False, allow_unicode=True)
    file.write_text(f"---\n{front}---\n\n{_body(manifest)}", encoding="utf-8")


def _front_matter(manifest: Mapping[str, Any]) -> dict[str, Any]:
    base = str(manifest["config"]["model"])
    is_hub_name = "/" in base and not base.startswith((".", "/", "~")) and not Path(base).exists()
    trainer = manifest["trainer"]
    return {
        "library_name": "transformers",
        "pipeline_tag": "text-classification" if trainer == "reward-model" else "text-generation",
        **({"base_model": base.removeprefix("hf:")} if is_hub_name else {}),
        "tags": ["constitutional-ai", "trl", trainer],
    }


def _body(manifest: Mapping[str, Any]) -> str:
    rows, dropped = manifest["rows"], manifest["dropped"]
    lines = [
        f"# {Path(manifest['config']['out']).name}",
        "",
        _DOES[manifest["trainer"]],
        "",
        "| | |",
        "|---|---|",
        f"| base model | `{manifest['config']['model']}` |",
        f"| rows | {rows.get('train', 0):,} to train on, {rows.get('test', 0):,} held out |",
        *(f"| rows left out | {count:,}: {reason} |" for reason, count in dropped.items()),
        f"| data | `{Path(manifest['data']['dataset']).name}` (`{manifest['data']['hash']}`) |",
        f"| constitution | {_constitutions(manifest)} |",
        f"| steps | {manifest['steps']:,} in {manifest['seconds']:,.0f} s |",
        f"| code | `{manifest['git_revision'] or 'not in a repository'}` |",
        "",
        *_table("Measured", "metric", _numbers(manifest["metrics"])),
        *_table("Settings", "setting", setting_rows(manifest["config"])),
        *_table("Versions", "package", setting_rows(manifest["versions"])),
        "## Use",
        "",
        "Trained on what models wrote and judged. Measure harm, helpfulness and over-refusal on "
        "prompts of your own before anyone relies on it. The licences of the base model and of the "
        "prompts apply.",
        "",
    ]
    return "\n".join(lines)


def _constitutions(manifest: Mapping[str, Any]) -> str:
    names = ", ".join(f"`{name}`" for name in manifest["constitutions"])
    return names or "none named in the rows"


def _numbers(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Single figures by dotted name; lists are in the manifest."""
    plain = {name: value for name, value in metrics.items() if not isinstance(value, list)}
    return [
        (name, f"{float(_loaded(text)):.4g}")
        for name, text in setting_rows(plain)
        if isinstance(_loaded(text), int | float)
    ]


def _loaded(text: str) -> Any:
    try:
        return parse_json(text)
    except NotJson:
        return None


def _table(title: str, name: str, rows: list[tuple[str, str]]) -> list[str]:
    if not rows:
        return []
    lines = [f"| {key} | {value.replace('|', chr(92) + '|')} |" for key, value in rows]
    return [f"## {title}", "", f"| {name} | |", "|---|---|", *lines, ""]
