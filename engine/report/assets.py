"""What every page is made of: style and script of our own, and templates that escape the rest.

Prompts and model outputs are untrusted. They are escaped by the template engine, their invisible
characters are spelled out, and should either ever fail, the page's content security policy runs
only the script whose hash it names and loads nothing.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from engine.report.wording import decimal, percent, setting_rows, visible

__all__ = ["PARTS", "Asset", "asset", "page_environment"]

PARTS = Path(__file__).parent
"""Where the templates, style and script lie that pages share."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A style sheet or script as a page holds it; `source` names it to the policy."""

    text: Markup
    source: str


@cache
def asset(*paths: Path) -> Asset:
    """The files one after the other, as one style sheet or script."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    digest = hashlib.sha256(text.encode()).digest()
    return Asset(Markup(text), f"'sha256-{base64.b64encode(digest).decode()}'")  # our own text


def page_environment(*folders: Path) -> Environment:
    """Templates from `folders`, then the shared ones."""
    environment = Environment(
        loader=FileSystemLoader([*folders, PARTS]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= {"percent": percent, "decimal": decimal, "rows": setting_rows}
    return environment


def _finalize(value: object) -> object:
    """Every value that a template puts out passes here, before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
