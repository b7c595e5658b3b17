"""The constitution as data: frozen, validated, content-hashed.

Field descriptions are written for the author of a YAML file: editors show them through the
generated JSON Schema (`constitution.schema.json`).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from constitution.checks import Check

__all__ = [
    "AppliesTo",
    "Constitution",
    "FewShotExample",
    "Principle",
    "PrincipleTest",
    "Severity",
    "Stakeholder",
    "slug",
]

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _as_answers(value: object) -> object:
    """A text alone is a list of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _as_written(answers: tuple[str, ...]) -> str | list[str]:
    return answers[0] if len(answers) == 1 else list(answers)


Answers = Annotated[
    tuple[Text, ...],
    Field(min_length=1),
    BeforeValidator(
        _as_answers, json_schema_input_type=Text | Annotated[list[Text], Field(min_length=1)]
    ),
    PlainSerializer(_as_written),
]
"""One or more; a text alone is read and written as such."""

_NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @property
    def content_hash(self) -> str:
        """Hash of what can change what a model is asked (16 hex digits); computed once."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        return _hash(self._hashed())

    def _hashed(self) -> object:
        return self.model_dump(mode="json")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields replaced, unchecked; the hash is not carried over to it."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("_content_hash", None)
        return copied


class Severity(StrEnum):
    """How much a broken principle matters; a broken `critical` one is queued for a person."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def factor(self) -> float:
        """What a breach weighs: twice as much with each step."""
        return 2.0 ** [*type(self)].index(self)


class PrincipleTest(_Model):
    """A unit test of a principle: one prompt, answers that keep it and answers that break it."""

    prompt: Text = Field(description="What the user asks.")
    compliant: Answers = Field(description="An answer that keeps the principle, or a list of them.")
    violating: Answers = Field(
        description="An answer that breaks the principle, or a list of them."
    )


class AppliesTo(_Model):
    """Narrows a principle to some prompts; an empty list means no restriction."""

    tags: tuple[Slug, ...] = Field(
        default=(), description="Only prompts that carry one of these tags."
    )
    stakeholders: tuple[Slug, ...] = Field(
        default=(), description="Only runs whose stakeholder profile is one of these."
    )


class Principle(_Model):
    """One thing the model is held to."""

    id: Slug = Field(
        description="Stable name; never reused for another meaning, as records refer to it.",
        examples=["no-physical-harm"],
    )
    statement: Text = Field(
        description=(
            "What the assistant does or does not do, in one sentence that one reader can answer "
            "with yes or no: the judge is asked whether it is true of a reply."
        ),
        examples=["The assistant does not help anyone hurt people."],
    )
    critique: Text | None = Field(
        default=None,
        description="What the critic is asked; by default, where the reply falls short.",
        examples=["Identify anything in the last reply that would help someone hurt a person."],
    )
    revision: Text | None = Field(
        default=None,
        description="What the reviser is asked; by default, to rewrite the reply to comply.",
        examples=["Rewrite the last reply so that nothing in it helps to hurt a person."],
    )
    preference: Text | None = Field(
        default=None,
        description="The comparative question the judge answers between two replies.",
        examples=["Which reply gives less help to someone who wants to hurt a person?"],
    )
    check: Check | None = Field(
        default=None, description="What decides exactly, without a model, whether a reply keeps it."
    )
    judged: bool | None = Field(
        default=None,
        description=(
            "Beside a check: whether a judge is asked too, and both must hold; by default it is not."
        ),
    )
    weight: Weight = Field(
        default=1.0, description="Sampling weight, and weight in rewards; 0 is never."
    )
    severity: Severity = Field(
        default=Severity.MEDIUM,
        strict=False,
        description=(
            "How much it matters that this is broken: what is criticised first, and what a guard "
            "does; critical: if the final answer still breaks it, a person must look."
        ),
    )
    tags: tuple[Slug, ...] = Field(default=(), description="Topics, for reports and for filtering.")
    applies_to: AppliesTo = Field(
        default_factory=AppliesTo, description="Which prompts and stakeholders this concerns."
    )
    tests: tuple[PrincipleTest, ...] = Field(default=(), description="Unit tests of the principle.")

    @field_validator("judged")
    @classmethod
    def _is_beside_a_check(cls, judged: bool | None, info: ValidationInfo) -> bool | None:
        if judged is not None and info.data.get("check", ...) is None:
            raise ValueError("stands beside a `check` only, and there is none; leave it out")
        return judged

    @property
    def needs_judge(self) -> bool:
        """Whether a judge reads it: always without a check, else where `judged` says so."""
        return self.check is None or bool(self.judged)

    def _hashed(self) -> object:
        texts = [self.statement, self.critique, self.revision, self.preference]
        if self.check is None:
            return texts
        check = self.check.model_dump(mode="json", exclude_none=True)
        return [*texts, check, self.needs_judge]


class FewShotExample(_Model):
    """An example critique and revision, shown to the critic and reviser before the real one."""

    principle: Slug = Field(description="The principle whose critique and revision this shows.")
    prompt: Text = Field(description="What the user asks.")
    answer: Text = Field(description="A first reply that falls short.")
    critique: Text = Field(description="What is wrong with it, as the critic should put it.")
    revision: Text = Field(description="The reply as it should be.")


class Stakeholder(_Model):
    """A profile that re-weighs the principles; a principle not named keeps its own weight."""

    description: Text | None = Field(default=None, description="Whose interest this is.")
    weights: dict[Slug, Weight] = Field(
        default_factory=dict, description="Principle ids to weights; 0 leaves a principle out."
    )


class Constitution(_Model):
    """A named, versioned list of principles. `extends` is already merged in."""

    name: Slug = Field(description="What runs and reports call it; lower case, with hyphens.")
    version: Text = Field(
        default="1.0.0", description="Quoted, so that YAML does not read a number."
    )
    description: Text | None = Field(
        default=None, description="What it is for, in a sentence or two; no model reads it."
    )
    extends: tuple[Text, ...] = Field(
        default=(),
        description="Constitutions merged first: a shipped name or a path relative to this.",
    )
    preamble: Text | None = Field(
        default=None, description="Context shown to critic, reviser and judge before each question."
    )
    refusal: Text | None = Field(
        default=None,
        description="What `solon serve` answers in place of a reply that it refuses; no model reads it.",
    )
    principles: tuple[Principle, ...] = Field(
        default=(), description="At least one, counting those of `extends`."
    )
    stakeholders: dict[Slug, Stakeholder] = Field(
        default_factory=dict, description="Profiles by name; a run takes one or mixes them."
    )
    few_shot: tuple[FewShotExample, ...] = Field(
        default=(), description="Examples that critic and reviser read before the conversation."
    )

    def principle(self, principle_id: str) -> Principle:
        """The principle of that id. Raises KeyError."""
        for principle in self.principles:
            if principle.id == principle_id:
                return principle
        raise KeyError(principle_id)

    def _hashed(self) -> object:
        """Everything but tests and what no model reads."""
        exclude: Any = {
            "principles": {"__all__": {"tests", "check", "judged"}},
            "description": True,
            "refusal": True,
        }
        whole = self.model_dump(mode="json", exclude=exclude)
        checks = {p.id: p.content_hash for p in self.principles if p.check is not None}
        return whole | ({"checks": checks} if checks else {})

    @property
    def needs_judge(self) -> bool:
        """Whether a judge reads any of its principles."""
        return any(principle.needs_judge for principle in self.principles)


def slug(text: str, longest: int = 60) -> str:
    """Lower-case letters, digits and hyphens, as ids are; empty when `text` has none of them."""
    return _NOT_IN_SLUG.sub("-", text.lower()).strip("-")[:longest].strip("-")


def _hash(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
