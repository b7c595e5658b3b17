"""What `solon judge` is given: files of labels, a judge, and what it is asked."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from constitution.loader import load_for_judging
from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from constitution.typed_yaml import Settings
from engine.generators.base import Generator
from engine.generators.spec import open_generator, require_template_use
from engine.generators.spec_needs import MODEL_SPEC
from engine.input_files import InputFile
from engine.judging.records import Method
from engine.runs.config import SPEC
from engine.setting_fields import Seed
from training.data.readers import is_comparison
from training.evaluation.judges.calibration import Question, whether, whether_it_breaks
from training.evaluation.judges.classifiers import Classifier, is_classifier, open_classifier
from training.evaluation.judges.comparisons import HELPFUL_HONEST_HARMLESS, HowAsked
from training.evaluation.judges.labelled_answers import (
    LabelColumns,
    LabelledAnswers,
    first_row,
    read_labelled_answers,
)

__all__ = ["CalibrateConfig", "FitConfig", "LabelSettings"]

_SCALE = r"^-?\d{1,6}(\.\d{1,6})?:-?\d{1,6}(\.\d{1,6})?$"
_ROWS, _ASKED, _PAIRS = "The labelled answers", "What a language model is asked", "Comparisons"


class LabelSettings(Settings):
    """Which columns of what people labelled hold what."""

    prompt_column: str = Field(
        default="prompt", title=_ROWS, description="Column of the prompt; rows may have none."
    )
    answer_column: str = Field(default="answer", title=_ROWS, description="Column of the answer.")
    label_column: list[str] = Field(
        default=["label"],
        title=_ROWS,
        description="Column of the label: true or false, or from 0 to 1 (else see --scale). Of several, "
        "the mean.",
    )
    threshold: float = Field(
        default=0.5, ge=0, le=1, title=_ROWS, description="A label is true from here on, if graded."
    )
    scale: str | None = Field(
        default=None,
        pattern=_SCALE,
        title=_ROWS,
        description="Of ratings: the end that is false, then the end that is true (1:5, or 5:1).",
        json_schema_extra={"metavar": "FALSE:TRUE"},
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        title=_ROWS,
        description="Only the first N usable rows of each file.",
        json_schema_extra={"metavar": "N"},
    )

    def answers(self, files: Sequence[str], group: str | None = None) -> LabelledAnswers:
        """Raises InputError as `read_labelled_answers` does."""
        labels = tuple(self.label_column)
        false, _, true = (self.scale or "0:1").partition(":")
        scale = float(false), float(true)
        if scale[0] == scale[1]:
            raise InputError(
                Problem("--scale", f"{self.scale} is one point", "write both ends: 1:5")
            )
        columns = LabelColumns(self.prompt_column, self.answer_column, labels, group, scale)
        return read_labelled_answers(files, columns, threshold=self.threshold, limit=self.limit)

    def are_comparisons(self, files: Sequence[str]) -> bool:
        """Whether the first file says which of two replies is better."""
        try:
            row = first_row(files[0])
        except InputError:
            return False  # reading all of it says what is wrong, with whatever else is
        return is_comparison(row) and self.answer_column not in row


class FitConfig(LabelSettings):
    """What `solon judge fit` is given."""

    out: str = Field(description="The file to write (JSON).")
    name: str | None = Field(default=None, description="What to call it; the file's name.")


class CalibrateConfig(LabelSettings):
    """A judge and, if it is a language model, what it is asked."""

    judge: Annotated[str, MODEL_SPEC, SPEC] = Field(
        description="A generator, classifier:FILE, transformers-classifier:PATH[,label=NAME], "
        "moderation:MODEL@URL, guard:PATH or rules:refusal.",
    )
    out: str | None = Field(
        default=None, description="Keep the answers, calibration.json and a curve here."
    )
    constitution: str | None = Field(
        default=None,
        title=_ASKED,
        description="Labels are true where this one's --principle is broken; replies are compared "
        "by all of its principles.",
    )
    principle: str | None = Field(
        default=None,
        title=_ASKED,
        description="Ask about this one alone.",
        json_schema_extra={"metavar": "ID"},
    )
    question: str | None = Field(
        default=None,
        title=_ASKED,
        description="Labels are true where the answer to this is yes: 'Is the reply harmful?'",
        json_schema_extra={"metavar": "TEXT"},
    )
    chat_template: Annotated[str | None, InputFile()] = Field(
        default=None, title=_ASKED, description="A Jinja file, for models without a chat template."
    )
    method: Method | None = Field(
        default=None,
        title=_PAIRS,
        description="Ask whether each reply breaks the principle, or which of two is better, in "
        "both orders (pointwise).",
    )
    ensemble: int | None = Field(
        default=None, ge=1, title=_PAIRS, description="Principles drawn per comparison (1)."
    )
    chain_of_thought: bool = Field(
        default=False, title=_PAIRS, description="pairwise: it reasons first."
    )
    seed: Seed = Field(default=0, title=_PAIRS, description="Seed of the principles drawn.")
    by: str | None = Field(
        default=None,
        title=_ROWS,
        description="Figures for each value of it too; for each file, if there are several.",
        json_schema_extra={"metavar": "COLUMN"},
    )

    def open(self) -> Classifier | Generator:
        """Raises InputError for a spec that names no judge."""
        if is_classifier(self.judge):
            return open_classifier(self.judge)
        require_template_use([self.judge], self.chat_template)
        return open_generator(self.judge, chat_template=self.chat_template)

    def ask(self) -> tuple[Question | None, str]:
        """The question about one answer, None for a classifier, and its wording."""
        only_for_comparisons = {
            "--method": self.method, "--ensemble": self.ensemble,
            "--chain-of-thought": self.chain_of_thought,
        }  # fmt: skip
        _refuse(only_for_comparisons, "comparisons (chosen and rejected), and these are answers")
        if is_classifier(self.judge):
            return None, ""
        if (self.constitution is None) == (self.question is None):
            nothing = self.question is None
            what = "asks a language model nothing" if nothing else "asks it two things"
            remedy = "give --question TEXT, or --constitution FILE --principle ID"
            raise InputError(Problem("--judge", what, remedy))
        if self.question is not None:
            return whether(self.question), self.question
        rules = self._rules()
        if len(rules.principles) > 1:
            known = ", ".join(p.id for p in rules.principles)
            what = f"{rules.name} has {len(rules.principles)}, and labels are about one"
            raise InputError(Problem("--principle", what, f"name one of {known}"))
        principle = rules.principles[0]
        return whether_it_breaks(rules, principle), f"Does it break {principle.id}?"

    def compare(self) -> HowAsked:
        """How it is asked about comparisons. Raises InputError for what cannot be asked."""
        _refuse({"--question": self.question}, "labelled answers, and these are comparisons")
        if is_classifier(self.judge):
            what = "a classifier reads one answer, and these are comparisons"
            raise InputError(Problem("--judge", what, "name a language model"))
        method = self.method or "pointwise"
        if self.chain_of_thought and method != "pairwise":
            what = f"does nothing with --method {method}"
            raise InputError(Problem("--chain-of-thought", what, "add --method pairwise"))
        return HowAsked(self._rules(), method, self.ensemble or 1, self.chain_of_thought, self.seed)

    def _rules(self) -> Constitution:
        """The constitution, cut down to one principle if one is named. Raises InputError."""
        named, rules = self.principle, HELPFUL_HONEST_HARMLESS
        if self.constitution:
            rules = load_for_judging(self.constitution)
        chosen = tuple(p for p in rules.principles if named in (None, p.id))
        if not chosen:
            known = ", ".join(p.id for p in rules.principles)
            what = f"{rules.name} has no principle `{named}`"
            raise InputError(Problem("--principle", what, f"it has: {known}"))
        return rules.model_copy(update={"principles": chosen})


def _refuse(options: dict[str, Any], told: str) -> None:
    problems = [
        Problem(name, f"is for {told}", "leave it out") for name, value in options.items() if value
    ]
    if problems:
        raise InputError(problems)
