"""The report: one HTML file that asks nothing of the network and runs nothing but its own script.

Prompts and model outputs are untrusted. They are escaped by the template engine, their invisible
characters are spelled out, and should either ever fail, the page's content security policy runs
only the script whose hash it names and loads nothing.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from engine.records import Record, Verdict
from engine.report.coverage import CoverageTally
from engine.report.sample import ConversationSample
from engine.report.summary import RunSummary, summarize
from engine.report.word_diff import Change, word_diff
from engine.report.wording import (
    DROPPED_BECAUSE,
    FLAGGED_BECAUSE,
    OUTCOMES,
    decimal,
    percent,
    setting_rows,
    visible,
)
from engine.storage import full_disk_explained

__all__ = ["build_report"]

_HERE = Path(__file__).parent
_UNPROVEN_JUDGE = "embedded"


def build_report(run_dir: Path, *, sample: int = 60, seed: int = 0) -> Path:
    """Write `report.html` into the run directory and return its path.

    `sample` conversations are shown, some of each troubled kind among them; `seed` chooses which.
    Raises InputError if the directory is not a run, StorageFull where there is no room for a page.
    """
    chosen, coverage = ConversationSample(sample, seed), CoverageTally()

    def each(record: Record) -> None:
        chosen.add(record)
        coverage.add(record)

    summary = summarize(run_dir, each)
    conversations = [_shown(record) for record in chosen.records()]
    template = _environment().get_template("report.html.jinja")
    page = template.render(
        summary=summary,
        conversations=conversations,
        facets=_facets(conversations),
        style=_asset("style.css"),
        script=_asset("script.js"),
        judge=_judge_note(summary),
        coverage=coverage.coverage([principle.id for principle in summary.principles]),
    )
    path = run_dir / "report.html"
    unfinished = path.with_suffix(".html.part")
    try:
        with full_disk_explained(path):
            unfinished.write_text(page, encoding="utf-8", newline="\n")
            os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


@dataclass(frozen=True, slots=True)
class _Shown:
    """A record and what the page says about it beyond its own fields."""

    record: Record
    changes: tuple[Change, ...]
    principles: tuple[str, ...]
    verdicts: Mapping[str, Verdict]

    @property
    def asked(self) -> str:
        """The last user turn, which the answer answers."""
        return self.record.prompt[-1].content if self.record.prompt else ""


def _shown(record: Record) -> _Shown:
    drawn = (round.principle for round in record.rounds)
    return _Shown(
        record=record,
        changes=word_diff(record.answer, record.final),
        principles=tuple(dict.fromkeys(drawn)),
        verdicts={verdict.principle: verdict for verdict in record.final_verdicts},
    )


def _facets(conversations: list[_Shown]) -> dict[str, list[str]]:
    """The values that the conversations on the page can be filtered by."""
    return {
        "principles": sorted({p for shown in conversations for p in shown.principles}),
        "tags": sorted({tag for shown in conversations for tag in shown.record.tags}),
    }


def _judge_note(summary: RunSummary) -> dict[str, Any]:
    spec = summary.models.get("judge", "")
    return {"spec": spec, "unproven": spec == _UNPROVEN_JUDGE}


@dataclass(frozen=True, slots=True)
class _Asset:
    """A style sheet or script as the page holds it; `source` names it to the policy."""

    text: Markup
    source: str


@cache
def _asset(name: str) -> _Asset:
    text = (_HERE / name).read_text(encoding="utf-8")
    digest = hashlib.sha256(text.encode()).digest()
    return _Asset(Markup(text), f"'sha256-{base64.b64encode(digest).decode()}'")  # our own text


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= {"percent": percent, "decimal": decimal, "rows": setting_rows}
    environment.globals |= {
        "dropped_because": DROPPED_BECAUSE,
        "flagged_because": FLAGGED_BECAUSE,
        "outcomes": OUTCOMES,
    }
    return environment


def _finalize(value: object) -> object:
    """Every value that a template puts out passes here, before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
