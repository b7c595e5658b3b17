"""The report: one HTML file that asks nothing of the network and runs only its own script."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from constitution.word_diff import WordChange, word_diff
from engine.generators.spec import kind_of
from engine.records import Record, Verdict
from engine.report.assets import PARTS, asset, page_environment
from engine.report.coverage import CoverageTally
from engine.report.sample import ConversationSample
from engine.report.summary import RunSummary, summarize
from engine.report.wording import DROPPED_BECAUSE, FLAGGED_BECAUSE, OUTCOMES, judge_note
from engine.storage.atomic import write_page

__all__ = ["build_report"]


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
        style=asset(PARTS / "style.css"),
        script=asset(PARTS / "browse.js", PARTS / "script.js"),
        judge=_judge_note(summary),
        coverage=coverage.coverage([principle.id for principle in summary.principles]),
    )
    path = run_dir / "report.html"
    write_page(path, page)
    return path


@dataclass(frozen=True, slots=True)
class _Shown:
    """A record and what the page says about it beyond its own fields."""

    record: Record
    changes: tuple[WordChange, ...]
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
    exact = bool(summary.texts) and all(text.exact for text in summary.texts.values())
    return {"spec": spec, "unproven": kind_of(spec) == "embedded", "idle": exact}


@cache
def _environment() -> Environment:
    environment = page_environment()
    environment.globals |= {
        "judge_note": judge_note,
        "dropped_because": DROPPED_BECAUSE,
        "flagged_because": FLAGGED_BECAUSE,
        "outcomes": OUTCOMES,
    }
    return environment
