"""What can be decided about a reply exactly, without a model: the `check` of a principle."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from constitution.language import LANGUAGES, language_name, language_of
from constitution.problems import nearest
from constitution.python_checks import python_failure
from constitution.reading import NotJson, parse_json, without_surrogates
from constitution.text_measures import (
    count_sentences,
    count_words,
    ends_with_question,
    list_in,
    reading_grade,
    tokens,
)

__all__ = ["CHECK_KEYS", "Check", "check_facts", "compiled", "failures"]

_LONGEST_ITEM = 200
_SHOWN = 60
_MEMORY = 2**20
"""Bytes that an expression may take compiled, so that what it costs for a character is bounded."""
_FENCE = re.compile(r"\A```[\w-]*+[ \t]*+\n")


def _regex_source(item: str) -> str | None:
    """What stands between the slashes, or None for words."""
    return item[1:-1] if len(item) > 1 and item[0] == item[-1] == "/" else None


@cache
def compiled(pattern: str) -> Any:
    """By RE2, which takes time linear in the text. Raises ValueError for what it does not know."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        hint = "use RE2's syntax, which has no look-around and no back-references"
        raise ValueError(f"is not a regular expression: {reason}; {hint}") from None


def _item(item: str) -> str:
    pattern = _regex_source(item)
    if pattern is None:
        if tokens(item) == "\n":
            raise ValueError("has no words; write words, or /a regular expression/")
    elif compiled(pattern).search("") is not None:
        raise ValueError("matches every text; write an expression that has to find something")
    return item


def _known_language(code: str) -> str:
    if code not in LANGUAGES:
        hint = nearest(code, LANGUAGES) or "such as en, de or fr"
        raise ValueError(f"is not the ISO 639-1 code of a language that is known here; {hint}")
    return code


def _only_true(value: bool) -> bool:
    if not value:
        raise ValueError("cannot be false; write true, or leave the key out")
    return value


OnlyTrue = Annotated[
    bool, AfterValidator(_only_true), WithJsonSchema({"const": True, "type": "boolean"})
]
Count = Annotated[int, Field(ge=1)]
Item = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=_LONGEST_ITEM),
    AfterValidator(_item),
]
Items = Annotated[tuple[Item, ...], Field(min_length=1)]


class Check(BaseModel):
    """What a reply must be for the principle to hold; all that is given must be so."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        json_schema_extra={"minProperties": 1},
    )

    max_words: Count | None = Field(default=None, description="The most words.", examples=[60])
    min_words: Count | None = Field(default=None, description="The fewest words.")
    max_sentences: Count | None = Field(default=None, description="The most sentences.")
    forbid: Items | None = Field(
        default=None,
        description=(
            "What must not be in it: words, found whole and in either case, or /a regular "
            "expression/ in RE2's syntax."
        ),
        examples=[["as an AI", "/(?i)^(sure|certainly)/"]],
    )
    require: Items | None = Field(
        default=None, description="What must all be in it, written as in `forbid`."
    )
    no_lists: OnlyTrue | None = Field(
        default=None, description="No bulleted or numbered list, and no table."
    )
    language: Annotated[str, AfterValidator(_known_language)] | None = Field(
        default=None,
        description="ISO 639-1 code of its language; a reply too short to tell holds.",
        examples=["en"],
    )
    ends_with_question: bool | None = Field(
        default=None, description="Whether it must end with a question, or must not."
    )
    reading_grade: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None, description="The highest Flesch-Kincaid grade, for English.", examples=[8]
    )
    is_json: OnlyTrue | None = Field(
        default=None, alias="json", description="It is JSON, alone or in one code fence."
    )
    python: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = (
        Field(
            default=None,
            description=(
                "module:function, called with the reply; it returns None where it holds, else a "
                "sentence that says what is wrong. Runs only with --allow-python-checks."
            ),
            examples=["house_rules:has_disclaimer"],
        )
    )

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        if not self.model_fields_set or not any(value is not None for value in vars(self).values()):
            raise ValueError("checks nothing; give it one of its keys, such as `max_words: 60`")
        if self.min_words and self.max_words and self.min_words > self.max_words:
            raise ValueError("asks for more words than it allows; lower min_words")
        wanted = {tokens(item): item for item in self.require or ()}
        if both := [item for item in self.forbid or () if tokens(item) in wanted]:
            raise ValueError(f"both forbids and requires {both[0]!r}; take one of them away")
        return self


CHECK_KEYS = tuple(field.alias or name for name, field in Check.model_fields.items())
"""As a file writes them."""


def check_facts(check: Check) -> dict[str, str]:
    """What is given of `check`, by key, each value as it may stand in a file."""
    given = check.model_dump(mode="json", exclude_none=True)
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in given.items()
    }


def failures(check: Check, reply: str) -> tuple[str, ...]:
    """What `reply` does not keep of `check`, a sentence each, as a critic would say it.

    Empty when it holds. Takes time linear in the reply, `python` apart, which raises
    PythonCheckError as `python_failure` does.
    """
    reply = without_surrogates(reply)
    found = [*_lengths(check, reply), *_words(check, reply), *_forms(check, reply)]
    if check.python is not None and (said := python_failure(check.python, reply)):
        found.append(said)
    return tuple(found)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _at_most(most: int) -> str:
    return f"at most {most:,} {'is' if most == 1 else 'are'} allowed"


def _lengths(check: Check, reply: str) -> Iterator[str]:
    if check.max_words or check.min_words:
        words = count_words(reply)
        if check.max_words and words > check.max_words:
            yield f"It has {_counted(words, 'word')}; {_at_most(check.max_words)}."
        if check.min_words and words < check.min_words:
            yield f"It has {_counted(words, 'word')}; at least {check.min_words:,} are needed."
    if check.max_sentences and (count := count_sentences(reply)) > check.max_sentences:
        yield f"It has {_counted(count, 'sentence')}; {_at_most(check.max_sentences)}."
    if check.reading_grade is not None:
        grade = reading_grade(reply)
        if grade is not None and grade > check.reading_grade:
            yield (
                f"Its reading grade is {grade:.1f}; at most {check.reading_grade:g} is allowed: "
                "use shorter sentences and plainer words."
            )


def _words(check: Check, reply: str) -> Iterator[str]:
    finders = _finders(reply)
    for item in check.forbid or ():
        if hit := finders(item):
            yield f'It says "{hit}", which it must not.'
    for item in check.require or ():
        if not finders(item):
            what = (
                "match the expression " + item
                if _regex_source(item) is not None
                else f'say "{item}"'
            )
            yield f"It does not {what}, which it must."


def _finders(reply: str) -> Callable[[str], str | None]:
    """What of the reply is an item, as text to show; the reply's words are read once."""
    words: list[str] = []

    def find(item: str) -> str | None:
        pattern = _regex_source(item)
        if pattern is not None:
            hit = compiled(pattern).search(reply)
            return " ".join(hit.group(0)[:_SHOWN].split()) or item if hit else None
        if not words:
            words.append(tokens(reply))
        return item if tokens(item) in words[0] else None

    return find


def _forms(check: Check, reply: str) -> Iterator[str]:
    if check.no_lists and (kind := list_in(reply)):
        yield f"It has {kind}; it must be running text, without lists and tables."
    if check.language and (spoken := language_of(reply)) not in (None, check.language):
        yield f"It is in {language_name(spoken or '')}; it must be in {language_name(check.language)}."
    if check.ends_with_question is not None:
        asks = ends_with_question(reply)
        if asks and not check.ends_with_question:
            yield "It ends with a question, which it must not."
        elif check.ends_with_question and not asks:
            yield "It does not end with a question, which it must."
    if check.is_json and (wrong := _not_json(reply)):
        yield f"It {wrong}; it must be nothing but JSON."


def _not_json(reply: str) -> str | None:
    """Why the reply is not JSON, alone or in one fence."""
    text = reply.strip()
    if (fence := _FENCE.match(text)) and text.endswith("```"):
        text = text[fence.end() : -3]
    try:
        parse_json(text, strict=True)
    except NotJson as error:
        return str(error)
    return None
