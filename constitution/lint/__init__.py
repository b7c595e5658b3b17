"""Advice on a constitution beyond its validity."""

from constitution.lint.findings import RULES, Finding, Level, Rule
from constitution.lint.fixes import fix_text
from constitution.lint.formats import LintFormat, formatted
from constitution.lint.linter import lint_file

__all__ = ["RULES", "Finding", "Level", "LintFormat", "Rule", "fix_text", "formatted", "lint_file"]
