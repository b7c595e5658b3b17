"""What a row of a public data set teaches, in each shape that a trainer may want.

An answer is a text, or messages that continue the prompt or repeat it. Without a prompt, all before
the last turn is the prompt: of `messages`, of whole conversations under `chosen` and `rejected`
(UltraFeedback), or of transcripts (`\\n\\nHuman: ... \\n\\nAssistant: ...`, HH-RLHF).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from constitution.reading import finite_number
from training.data.graded import Graded, answer_in, graded_answers, graded_pairs
from training.data.turns import (
    BadPrompt,
    Turn,
    Turns,
    Unusable,
    answer_turn,
    checked_prompt,
    turns_of,
)

__all__ = ["ANSWERS", "Example", "Shape", "examples", "is_comparison", "rated_example"]

Shape = Literal["sft", "preference", "unpaired", "prompt"]
ANSWERS: dict[Shape, tuple[str, ...]] = {
    "sft": ("completion",),
    "preference": ("chosen", "rejected"),
    "unpaired": ("completion",),
    "prompt": (),
}
"""The columns of the answers, as TRL calls them; rows to learn from thumbs (KTO) are `unpaired`."""
_TRANSCRIPTS = ("text_correct", "text_incorrect")
"""What the HHH evaluation calls its chosen and rejected transcripts."""
_PROMPTS = ("prompt", "instruction", "question")
_CONVERSATIONS = ("messages", "conversations", "conversation")
_SCORES = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("rating_chosen", "rating_rejected"),
)


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and its answers, in the order of `ANSWERS`."""

    asked: Turns
    replies: tuple[Turn, ...]
    given: int = 0
    """How many turns of the prompt the row gives as its prompt; the assistant's after them may be
    learned too."""
    probability: float = 1.0
    """That the first of two answers is the better; of a thumb that it is right."""
    margin: float | None = None
    """How much better it was rated."""
    weight: float = 1.0
    """What the pair counts; those of one row count 1 together."""
    label: bool | None = None
    """Thumbs up or down."""


def examples(row: Mapping[str, Any], shape: Shape) -> list[Example]:
    """What a row teaches, mostly one example. Raises BadPrompt for a row that is not of this shape,
    and Unusable with the reason where nothing can be learned from one that is."""
    given = {name: value for name, value in row.items() if value is not None}
    match shape:
        case "prompt":
            return [_prompt_alone(given, row)]
        case "preference":
            return _preferences(given, row)
        case "unpaired":
            return _thumbs(given, row)
    if given.get("label") in (False, 0):
        raise Unusable("labelled as undesirable")
    return [_imitated(given, row)]


def is_comparison(row: Mapping[str, Any]) -> bool:
    """Whether a row has a better and a worse answer."""
    return any(set(names) <= row.keys() for names in (ANSWERS["preference"], _TRANSCRIPTS))


def rated_example(row: Mapping[str, Any], graded: Graded) -> Example:
    """The prompt and the one answer of a row that rates it."""
    given = {name: value for name, value in row.items() if value is not None}
    return _example(_prompt(given), {"answer": graded.answer}, row, given.get("system"))


def _prompt_alone(given: Mapping[str, Any], row: Mapping[str, Any]) -> Example:
    asked = given.get("messages", given.get("prompt", given.get("conversations")))
    if asked is None and is_comparison(row):
        return replace(_preferences(given, row)[0], replies=())
    if asked is None:
        raise _missing("prompt", row)
    turns = turns_of(asked) if not isinstance(asked, str) else None
    if turns and turns[-1]["role"] == "assistant":
        turns = turns[:-1]
    return Example(checked_prompt(asked if turns is None else turns, given.get("system")), ())


def _imitated(given: Mapping[str, Any], row: Mapping[str, Any]) -> Example:
    """By its answer, its last turn, or what was chosen."""
    system = given.get("system")
    conversation = next((name for name in _CONVERSATIONS if name in given), None)
    if "completion" not in row and conversation:
        return _example(None, {conversation: given[conversation]}, row, system)
    if "completion" not in row and is_comparison(row):
        pair = _preferences(given, row)[0]
        return replace(pair, replies=pair.replies[:1], probability=1.0, margin=None)
    if "completion" not in row and "instruction" in row:
        return _example(_prompt(given), {"output": answer_in(given)}, row, system)
    if "completion" not in row:
        raise _missing("completion", row)
    return _example(given.get("prompt"), {"completion": given.get("completion")}, row, system)


def _preferences(given: Mapping[str, Any], row: Mapping[str, Any]) -> list[Example]:
    system = given.get("system")
    if is_comparison(row):
        names = _TRANSCRIPTS if set(_TRANSCRIPTS) <= given.keys() else ANSWERS["preference"]
        prompt = None if names is _TRANSCRIPTS else given.get("prompt")
        example = _example(prompt, {name: given.get(name) for name in names}, row, system)
        return [replace(example, probability=_probability(given), margin=_margin(given))]
    graded = graded_answers(given)
    if graded is None:
        raise _missing("rejected" if "chosen" in row else "chosen", row)
    found = []
    for pair in graded_pairs(graded):
        both = {"chosen": pair.chosen, "rejected": pair.rejected}
        example = _example(_prompt(given), both, row, system)
        found.append(replace(example, margin=pair.margin, weight=pair.weight))
    return found


def _thumbs(given: Mapping[str, Any], row: Mapping[str, Any]) -> list[Example]:
    """By its label; or the better answer of a pair up, and the worse one down."""
    if "label" in given:
        return [replace(_imitated(given, row), label=_label(given["label"]))]
    if not is_comparison(row):
        raise _missing("label", row)
    (pair,) = _preferences(given, row)
    if pair.probability == 0.5:
        raise Unusable("neither answer is the better")
    up, sure = pair.probability > 0.5, max(pair.probability, 1 - pair.probability)
    return [
        replace(pair, replies=(reply,), probability=sure, margin=None, label=label)
        for reply, label in zip(pair.replies, (up, not up), strict=True)
    ]


def _prompt(given: Mapping[str, Any]) -> Any:
    """What is asked, in rows that are known by their answers: a text or messages; None without."""
    name = next((name for name in _PROMPTS if name in given), None)
    if name == "instruction" and isinstance(more := given.get("input"), str) and more.strip():
        return f"{given[name]}\n\n{more}"
    return given.get(name) if name else None


def _example(
    prompt: Any, answers: Mapping[str, Any], row: Mapping[str, Any], system: Any
) -> Example:
    whole = [_conversation(prompt, value, name, row) for name, value in answers.items()]
    first = whole[0]
    if any(_said(turns[:-1]) != _said(first[:-1]) for turns in whole):
        names = " and ".join(answers)
        raise Unusable(f"{names} differ before their last turn")
    replies = tuple(answer_turn(turns[-1]) for turns in whole)
    if not all(reply["content"].strip() or reply.get("tool_calls") for reply in replies):
        raise Unusable("empty answer")
    try:
        asked = checked_prompt(_without_reasoning(first[:-1]), system)
    except BadPrompt as bad:
        if prompt is None and all(isinstance(value, str) for value in answers.values()):
            raise Unusable("a transcript with empty turns, or turns out of order") from bad
        raise
    added = len(asked) - len(first) + 1  # the `system` column's turn
    return Example(asked, replies, given=added + (len(_asked(prompt)) if prompt is not None else 0))


def _conversation(prompt: Any, value: Any, column: str, row: Mapping[str, Any]) -> Turns:
    """The prompt and one answer, which may repeat the prompt, turn by turn."""
    if value is None:
        raise Unusable("empty answer")
    turns = None if isinstance(value, str) and prompt is not None else turns_of(value)
    if turns is None and not isinstance(value, str):
        raise BadPrompt(f"{column!r} is not an answer", "give a text, or messages")
    if prompt is None and turns is not None and turns[0]["role"] == "assistant":
        others = (name for name in _CONVERSATIONS if name != column and row.get(name))
        prompt = next((row[name] for name in others), None)
    if turns is None and prompt is None:
        remedy = "a transcript reads Human: ..., Assistant: ..., with blank lines between"
        what = f"has no 'prompt', and {column!r} is not a transcript that ends with the assistant"
        raise BadPrompt(f"{what}; it has {', '.join(map(repr, row))}", remedy)
    turns = [{"role": "assistant", "content": value}] if turns is None else turns
    if prompt is not None:
        asked = _asked(prompt)
        repeats = turns[0]["role"] in ("system", "user")
        system = asked[:1] if asked[0]["role"] == "system" != turns[0]["role"] else []
        turns = [*(system if repeats else asked), *turns]
    if turns[-1]["role"] != "assistant":
        what = f"{column!r} does not end with the assistant's answer"
        raise BadPrompt(what, "drop the turns behind it")
    return turns


def _asked(prompt: Any) -> Turns:
    """The turns of a prompt's column, which tools may have a part in."""
    turns = None if isinstance(prompt, str) else turns_of(prompt)
    return checked_prompt(prompt if turns is None else turns, None)


def _without_reasoning(turns: Turns) -> Turns:
    """Of what was said before the answer, no reasoning is shown, as to the model that is asked."""
    return [
        {n: v for n, v in answer_turn(turn).items() if n != "reasoning_content"}
        if turn["role"] == "assistant"
        else turn
        for turn in turns
    ]


def _said(turns: Turns) -> list[tuple[Any, ...]]:
    return [(turn["role"], turn["content"], turn.get("tool_calls")) for turn in turns]


def _probability(given: Mapping[str, Any]) -> float:
    """The judge's that `chosen` is the better; rows of other origin may leave it out."""
    value = given.get("probability", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        remedy = "give the judge's probability that `chosen` is the better, from 0 to 1"
        raise BadPrompt(f"'probability' is {value!r}", remedy)
    return float(value)


def _margin(given: Mapping[str, Any]) -> float | None:
    """How much better `chosen` was rated, where the row says it."""
    if "margin" in given:
        return _number(given, "margin")
    names = next((names for names in _SCORES if set(names) <= given.keys()), None)
    if names is None:
        return None
    margin = _number(given, names[0]) - _number(given, names[1])
    if margin < 0:
        raise Unusable("rejected is rated above chosen")
    return margin


def _number(given: Mapping[str, Any], name: str) -> float:
    number = finite_number(given[name])
    if number is None:
        raise BadPrompt(f"{name!r} is {given[name]!r}", "give a number, or drop the column")
    return number


def _label(value: Any) -> bool:
    if value in (True, False):  # 1 and 0 too
        return bool(value)
    raise BadPrompt(f"'label' is {value!r}", "give true or false: whether the answer is desirable")


def _missing(column: str, row: Mapping[str, Any]) -> BadPrompt:
    known = ", ".join(map(repr, row)) or "none"
    return BadPrompt(f"has no {column!r}; it has {known}")
