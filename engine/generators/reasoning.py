"""A model's reasoning, told apart from its answer: tags, channels, and their remains.

Chat models mark reasoning in their own ways, and a server or decoder that does not know a model's
way leaves it in the text. Only what comes before the answer is reasoning: an answer may mention a tag.
"""

import re
from collections.abc import Iterator

__all__ = [
    "closing_of",
    "marks_reasoning",
    "opening_at_end",
    "split_reasoning",
    "starts_to_reason",
]

_BLOCKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reason>", "</reason>"),
    ("<seed:think>", "</seed:think>"),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<|think|>", "<|/think|>"),
    ("<|thinking|>", "<|/thinking|>"),
    ("<|start_thinking|>", "<|end_thinking|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought", "<channel|>"),
    ("<unused94>thought", "<unused95>"),
    ("here is my thought process:", "here is my response:"),
)
"""In lower case: how reasoning opens and closes (DeepSeek, Qwen, GLM; Claude; EXAONE; Reka; Seed;
Magistral; Kimi; Command A; OpenThinker; Apertus; Gemma 4; MedGemma; Granite)."""
_LONGEST_TAG = max(len(opens) for opens, _ in _BLOCKS)
_OPENED_IN_PROMPT = tuple(
    close
    for _, close in _BLOCKS
    if close
    not in ("</thinking>", "</thought>", "</reasoning>", "</reason>", "here is my response:")
)
"""Those whose opening tag a chat template may have written already, or a decoder dropped."""
_WRAPPED = (
    ("<answer>", "</answer>"),
    ("<response>", "</response>"),
    ("<|start_response|>", "<|end_response|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
)
"""What some models put around the answer once they have reasoned."""
_MARKS = {tag for pair in (*_BLOCKS, *_WRAPPED) for tag in pair} | {"<|channel|>", "<|message|>"}
_CHANNEL = re.compile(r"<\|channel\|>([^<\n]{0,100})(?:<\|constrain\|>[^<\n]{0,100})?<\|message\|>")
_END_OF_MESSAGE = re.compile(r"<\|(?:end|return|call|start)\|>")
_BARE_CHANNEL = re.compile(r"\A\s*(?P<name>analysis|commentary)(?P<begins>[A-Z\"'“*#\d]?)")
"""A harmony channel's name, left alone where a decoder dropped the tokens around it, and how a
sentence begins."""
_BARE_FINAL = "assistantfinal"
_FINAL_CHANNEL = "<|channel|>final<|message|>"
_FOLLOWED = {"<|end_thinking|>": "<|start_response|>"}
"""What some models write between their thought's end and the answer."""


def split_reasoning(text: str) -> tuple[str, str | None]:
    """The answer within `text`, and the reasoning before it; None if there is none.

    Reasoning that never closes is all there is: the answer is then empty. Takes time in proportion
    to the text's length.
    """
    if (harmony := _split_channels(text)) is not None:
        return harmony
    thoughts: list[str] = []
    block = _leading_block(text) or _block_opened_before(text)
    while block is not None:
        thought, text = block
        thoughts.append(thought)
        block = _leading_block(text)
    if not thoughts:
        return text, None
    return _unwrapped(text).lstrip(), "\n\n".join(filter(None, thoughts))


def starts_to_reason(text: str) -> bool:
    """Whether `text` opens with reasoning, or with what may become its tag: all that a model that
    reasons has said after a token or two."""
    begun = text.lstrip().lower()
    if not begun:
        return False
    if begun.startswith(("<|channel|>", "<|start|>", "analysis", "commentary")):
        return True
    return any(begun.startswith(opens) for opens, _ in _BLOCKS)


def marks_reasoning(token: str) -> bool:
    """Whether a special token tells reasoning and answer apart, so that it must be read."""
    return token.lower() in _MARKS


def opening_at_end(text: str) -> str:
    """The tag that opens reasoning and that `text` ends with, white space aside; empty without one."""
    end = text.rstrip()
    lowered = _lower(end[-_LONGEST_TAG:])
    opens = next((opens for opens, _ in _BLOCKS if lowered.endswith(opens)), "")
    return end[len(end) - len(opens) :] if opens else ""


def closing_of(text: str) -> str | None:
    """What ends the reasoning that `text` begins with, as a model would write it; None if it begins
    with none, or that is closed."""
    begun = text.lstrip()
    if begun.startswith(("<|channel|>", "<|start|>")):
        return _channel_closing(begun)
    lowered = _lower(begun)
    for opens, closes in _BLOCKS:
        if lowered.startswith(opens):
            return _closing(begun[: len(opens)], closes) if closes not in lowered else None
    return None


def _channel_closing(text: str) -> str | None:
    if any(name.startswith("final") for name, _ in _channels(text)):
        return None
    ended = _END_OF_MESSAGE.search(text.rpartition("<|message|>")[2])
    return f"{'' if ended else '<|end|>'}<|start|>assistant{_FINAL_CHANNEL}"


def _closing(opened: str, closes: str) -> str:
    """A closing tag in the case of the opening one, and the white space around it."""
    closes += _FOLLOWED.get(closes, "")
    if opened.isupper():
        return closes.upper()
    if closes.endswith(":"):
        return f"\n\n{closes.capitalize()}\n\n"
    return f"\n{closes}\n\n" if closes.startswith("</") else closes


def _leading_block(text: str) -> tuple[str, str] | None:
    """The reasoning that `text` begins with, and the text after it."""
    lowered = _lower(text)
    at = len(text) - len(text.lstrip())
    for opens, closes in _BLOCKS:
        if lowered.startswith(opens, at):
            start = at + len(opens)
            end = lowered.find(closes, start)
            if end < 0:
                return text[start:].strip(), ""
            return text[start:end].strip(), text[end + len(closes) :]
    return None


def _block_opened_before(text: str) -> tuple[str, str] | None:
    """Reasoning that `text` goes on with, since its opening tag is not in it, and the text after."""
    lowered = _lower(text)
    for closes in _OPENED_IN_PROMPT:
        end = lowered.find(closes)
        if end >= 0 and not _opens_before(lowered, closes, end):
            return text[:end].strip(), text[end + len(closes) :]
    return None


def _opens_before(lowered: str, closes: str, end: int) -> bool:
    opens = next(opens for opens, close in _BLOCKS if close == closes)
    return lowered.find(opens, 0, end) >= 0


def _lower(text: str) -> str:
    """In lower case, with every character where it was."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def _unwrapped(answer: str) -> str:
    """An answer without the tags that are around all of it; the closing one may be cut off."""
    bare = answer.strip()
    lowered = _lower(bare)
    for opens, closes in _WRAPPED:
        if lowered.startswith(opens):
            end = len(bare) - len(closes) if lowered.endswith(closes) else len(bare)
            return bare[len(opens) : max(end, len(opens))].strip()
    return answer


def _split_channels(text: str) -> tuple[str, str | None] | None:
    """By the channels of OpenAI's harmony format: `final` is the answer. None without channels."""
    channels = list(_channels(text))
    if channels:
        answer = "".join(said for name, said in channels if name.startswith("final"))
        thoughts = [said.strip() for name, said in channels if not name.startswith("final")]
        return answer.strip(), "\n\n".join(filter(None, thoughts)) if thoughts else None
    bare = _BARE_CHANNEL.match(text)
    if not bare or (_BARE_FINAL not in text and not bare["begins"]):
        return None
    thought, _, answer = text[bare.end("name") :].partition(_BARE_FINAL)
    return answer.strip(), thought.strip()


def _channels(text: str) -> Iterator[tuple[str, str]]:
    """Each channel's name and what was said on it."""
    if not text.lstrip().startswith(("<|channel|>", "<|start|>")):
        return
    opened = list(_CHANNEL.finditer(text))
    for at, found in enumerate(opened):
        stop = opened[at + 1].start() if at + 1 < len(opened) else len(text)
        said = text[found.end() : stop]
        end = _END_OF_MESSAGE.search(said)
        yield found[1].strip(), said[: end.start()] if end else said
