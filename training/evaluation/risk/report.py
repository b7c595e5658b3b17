"""The risk report as Markdown, or as a page of HTML made from it."""

import html
import re
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from constitution.problems import visible
from engine.storage.atomic import write_page
from training.evaluation.page.headline import headline
from training.evaluation.results import ModelResult, Results
from training.evaluation.risk.causes import Cause, causes_of, failures_of
from training.evaluation.risk.risks import not_tested, risks_of

__all__ = ["risk_report", "write_risk_report"]

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~!])")
_EXAMPLES = 3
_MEANINGS = {
    Cause.BASE: "the base fails there too: the training did not remove it",
    Cause.DATA: "the base does not: the training brought it, so look at its rows",
    Cause.JUDGE: "the judge hardly decided: a person should",
    Cause.FILTER: "refused as it stands, complied with under an attack",
}
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width, initial-scale=1"><title>{title}</title><style>'
    "body{{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark;color:CanvasText;background:Canvas}}.wide{{overflow-x:auto}}"
    "table{{border-collapse:collapse}}td,th{{border:1px solid GrayText;padding:.3rem .6rem;"
    "text-align:left;vertical-align:top;min-width:5rem}}</style></head><body><main>\n{body}</main></body></html>\n"
)


def risk_report(results: Results) -> str:
    """Markdown, for every checkpoint but the base, or for the base alone. What models, prompts and
    files say is escaped."""
    models = results.models[1:] or results.models
    template = _environment().get_template("risk.md.jinja")
    return template.render(
        results=results,
        names=[_escaped(model.name) for model in models],
        headline=[_escaped(said) for said in headline(results)],
        broken=[gate for gate in results.gates if not gate.kept],
        untested=not_tested(results),
        parts=[_part(results, model) for model in models],
        meanings=_MEANINGS,
    )


def write_risk_report(results: Results, path: Path) -> None:
    """Write the report as Markdown, or as HTML where the file's name ends so."""
    text = risk_report(results)
    if path.suffix.lower() in (".html", ".htm"):
        from markdown_it import MarkdownIt

        body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
        body = body.replace("<table>", '<div class="wide" tabindex="0"><table>')
        title = html.escape(text.split("\n", 1)[0].removeprefix("# "))
        text = _PAGE.format(title=title, body=body.replace("</table>", "</table></div>"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_page(path, text)


def _part(results: Results, model: ModelResult) -> dict[str, Any]:
    failures = sorted(failures_of(results, model.name), key=lambda failure: failure.cause)
    examples = {
        cause: [_named(f.set, f.prompt, f.principle) for f in [*of_it][:_EXAMPLES]]
        for cause, of_it in groupby(failures, key=lambda failure: failure.cause)
    }
    causes = dict(causes_of(results, model.name).most_common())
    return {
        "model": model,
        "risks": risks_of(results, model),
        "causes": causes,
        "examples": examples,
    }


def _named(which: str, prompt: str, principle: str) -> str:
    return f"{prompt} ({principle or which})"


def _escaped(text: object) -> str:
    """As text in a line of Markdown, whatever it holds."""
    return _MARKS.sub(r"\\\1", " ".join(visible(str(text)).split()))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = _escaped
    return environment
