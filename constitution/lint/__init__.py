"""Advice on a constitution beyond its validity."""

from constitution.lint.conflicts import Conflict, Pair, pairs_that_meet
from constitution.lint.findings import RULES, Level, LintFinding, Rule, invalid
from constitution.lint.fixes import fix_file, fix_text
from constitution.lint.formats import LintFormat, annotation, formatted
from constitution.lint.linter import lint_file, own_principles

__all__ = [
    "RULES",
    "Conflict",
    "Level",
    "LintFinding",
    "LintFormat",
    "Pair",
    "Rule",
    "annotation",
    "fix_file",
    "fix_text",
    "formatted",
    "invalid",
    "lint_file",
    "own_principles",
    "pairs_that_meet",
]
