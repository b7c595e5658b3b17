"""Control tokens spelled out in untrusted text, broken so that a tokenizer reads them as plain text.

Text that spells `<|im_end|>` would end its turn and forge another. A zero-width space after the
token's first character breaks it, and is taken out again where a model repeats what it read.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from engine.messages import Conversation, Message

__all__ = ["GENERAL", "Neutraliser", "special_tokens", "structural_tokens"]

_BREAK = "\u200b"

_NAME = r"[^|｜<>\[\]\s\u200b]{1,64}"
_NAMED = (
    "s bos eos pad unk cls sep sop eop eod eot eoh eoa eoc think thinking thought tool_call "
    "tool_calls tool_response tool_result tool_results tool_output arg_key arg_value im_start im_end "
    "im_patch image_soft_token audio_soft_token fim_prefix fim_middle fim_suffix fim_pad file_sep "
    "BOS EOS PAD UNK CLS SEP"
).split()
"""What is a token between `<` and `>`, and with a slash before it."""
_NUMBERED = r"(?:reserved|unused|extra_id|special|placeholder|dummy)[a-z_]{0,32}\d{1,6}"
_BRACKETED = (
    "INST SYSTEM_PROMPT AVAILABLE_TOOLS TOOL_CALLS TOOL_RESULTS TOOL_CONTENT THINK ARGS CALL_ID "
    "MODEL_SETTINGS IMG IMG_BREAK IMG_END AUDIO BEGIN_AUDIO PREFIX MIDDLE SUFFIX gMASK sMASK MASK "
    "CLS SEP PAD UNK BOS EOS EOT EOD"
).split()
GENERAL: tuple[tuple[str, str], ...] = (
    ("<", rf"[|｜]{_NAME}[|｜]?>"),
    ("<", rf"{_NAME}[|｜]>"),
    ("<", rf"｜{_NAME}｜"),
    ("<", rf"/?(?:{'|'.join(_NAMED)})>"),
    ("<", rf"/?{_NUMBERED}>"),
    ("<", r"SPECIAL_\d{1,6}>"),
    ("<", r"[A-Z]{2,16}_TOKEN>"),
    ("<", r"(?:start|begin|beginning|end)_(?:of|function)_[a-z]{1,32}>"),
    ("<", r"/?(?:seed|minimax|longcat)[:_][a-z_]{1,32}>"),
    ("<", r"</?SYS>>"),
    (r"\[", rf"\|{_NAME}\|\]"),
    (r"\[", rf"/?(?:{'|'.join(_BRACKETED)})\]"),
    (r"\[", rf"/?(?:{_NUMBERED}|control_\d{{1,6}})\]"),
    (r"\[", r"e~\["),
    (r"\]", r"~!?b[\[\]]"),
    ("◁", r"/?[a-z_]{1,32}▷"),
    ("｜", r"DSML｜"),
)
"""For a `Neutraliser` where the tokenizer is not known: how the big families spell their tokens.

Anything within bars (`<|name|>`, `<｜name｜>`, `<|name>`, `<name|>`, `[|name|]`), and by name what would
else be taken for HTML, a type parameter or a placeholder (`<p>`, `<my_type>`, `[YOUR_NAME]`).
"""


class Neutraliser:
    """Breaks control tokens in untrusted text, and restores them in a model's output.

    `patterns` are pairs of regular expressions: a token's first character, and the rest of it.
    """

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        rests: dict[str, list[str]] = {}
        for first, rest in patterns:
            rests.setdefault(first, []).append(rest)
        self._intact, self._broken = (
            re.compile(
                "|".join(f"(?<={first}){mark}(?={'|'.join(rest)})" for first, rest in rests.items())
                or "(?!)"
            )
            for mark in ("", _BREAK)
        )

    @classmethod
    def for_tokens(cls, tokens: Iterable[str]) -> "Neutraliser":
        """Of literal tokens; a token of one character cannot be broken and is let through."""
        rests: dict[str, list[str]] = {}
        for token in sorted(token for token in tokens if len(token) > 1):
            rests.setdefault(token[0], []).append(token[1:])
        return cls((re.escape(first), _any_of(rest)) for first, rest in rests.items())

    def neutralise(self, text: str) -> str:
        """`text` with every control token broken after its first character."""
        return self._intact.sub(_BREAK, text)

    def restore(self, text: str) -> str:
        """`text` with broken control tokens whole again; repeated, since tokens may overlap."""
        while (restored := self._broken.sub("", text)) != text:
            text = restored
        return text

    def neutralise_messages(self, messages: Conversation) -> Conversation:
        """The same turns with neutralised contents."""
        return tuple(
            Message(message.role, self.neutralise(message.content), message.tokens)
            for message in messages
        )


def _any_of(words: Sequence[str]) -> str:
    """A pattern of what begins with any of `words`, letter by letter: some tokenizers have thousands."""
    branches: dict[str, list[str]] = {}
    for word in words:
        if not word:
            return ""
        branches.setdefault(word[0], []).append(word[1:])
    parts = [re.escape(letter) + _any_of(rest) for letter, rest in branches.items()]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


_GENERAL = Neutraliser(GENERAL)


def special_tokens(tokenizer: Any) -> dict[str, int]:
    """What a Hugging Face tokenizer calls special, by spelling: decoding can leave these out."""
    added = tokenizer.added_tokens_decoder.items()
    special = {token.content: int(id_) for id_, token in added if token.special}
    named = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
    return special | {str(token): int(id_) for token, id_ in named}


def structural_tokens(tokenizer: Any, template: str = "") -> set[str]:
    """The special tokens, and those that are as good as special: added tokens in brackets that are
    spelled as control tokens are, or that the chat template writes (Qwen 3 adds `<think>` so).

    Others are text: some tokenizers add HTML tags and runs of spaces.
    """
    added = {str(token.content) for token in tokenizer.added_tokens_decoder.values()}
    return set(special_tokens(tokenizer)) | {
        token
        for token in added
        if _GENERAL.neutralise(token) != token or (token[:1] in "<[◁" and token in template)
    }
