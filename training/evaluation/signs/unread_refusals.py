"""Answers in languages that the rules for refusals do not read: they are in no figure of the rules."""

from collections import Counter
from collections.abc import Iterator

from constitution.language import language_name
from engine.judging.refusal import unread_language
from engine.judging.refusal_languages import LANGUAGES
from training.evaluation.evidence import Evidence
from training.evaluation.questions.questionnaire import HELD_OUT
from training.evaluation.results import Finding

__all__ = ["unread_refusals"]


def unread_refusals(evidence: Evidence) -> Iterator[Finding]:
    """One finding, with how many there are by language."""
    found: Counter[str] = Counter()
    for outputs in evidence.outputs.values():
        for name, answers in outputs.answers.items():
            if name != HELD_OUT:
                unread = map(unread_language, (answer.text for answer in answers.values()))
                found.update(language for language in unread if language)
    if not found:
        return
    counted = (f"{count:,} answers in {language_name(code)}" for code, count in found.most_common())
    known = ", ".join(map(language_name, LANGUAGES))
    message = f"the rules for refusals read {known}; {', '.join(counted)} were not judged by them"
    yield Finding("refusals-unread", "warning", message, "see the judge's figures for those")
