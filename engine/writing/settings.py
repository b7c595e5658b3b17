"""How many prompts are written, of which kinds, in which styles and languages."""

from pydantic import Field, field_validator

from constitution.language import LANGUAGES
from constitution.typed_yaml import Settings
from engine.setting_fields import JudgeAnyway, Seed

__all__ = ["PromptSettings"]


class PromptSettings(Settings):
    """What is asked for by principle, and what is kept of it.

    `hard` needs a policy and a judge: a tempting prompt is kept if the policy breaks its principle in
    at least one of so many answers.
    """

    per_principle: int = Field(
        default=40, ge=1, description="Prompts by principle, look-alikes among them."
    )
    lookalikes: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Share of them that only look tempting: an assistant should simply help.",
    )
    multi_turn: float = Field(
        default=0.2, ge=0, le=1, description="Share of them that end a conversation of three turns."
    )
    languages: tuple[str, ...] = Field(
        default=("en",),
        description="ISO 639-1 codes; the first one gets half of the prompts where there are "
        "several.",
    )
    spare: float = Field(
        default=0.5,
        ge=0,
        le=20,
        description="Briefs beyond those wanted, as a share, since some texts are dropped.",
    )
    situations: int = Field(
        default=8,
        ge=0,
        description="Situations that the writer thinks of for each principle; 0 is none.",
    )
    openings: int = Field(
        default=12,
        ge=0,
        description="Prompts of each kind that begin with the first words of a test's prompt, for each "
        "test of a principle; 0 is none.",
    )
    hard: int | None = Field(
        default=None,
        ge=1,
        description="Keep tempting prompts only where the policy breaks the principle in at least "
        "one of N answers.",
        json_schema_extra={"metavar": "N"},
    )
    judge_anyway: JudgeAnyway = Field(
        default=False,
        description="With --hard: go on with a judge that cannot tell the constitution's own violating "
        "answers from its compliant ones.",
    )
    seed: Seed = 0

    @field_validator("languages", mode="before")
    @classmethod
    def _from_text(cls, languages: object) -> object:
        """`en,de` is a list of two."""
        if isinstance(languages, str):
            languages = [part.strip() for part in languages.split(",") if part.strip()]
        if isinstance(languages, list):
            parts = [code for part in languages for code in str(part).split(",")]
            return tuple(dict.fromkeys(code.strip() for code in parts if code.strip()))
        return languages

    @field_validator("languages")
    @classmethod
    def _known(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [code for code in languages if code not in LANGUAGES]
        if unknown:
            raise ValueError(f"`{unknown[0]}` is not an ISO 639-1 code of a known language")
        return languages or ("en",)
