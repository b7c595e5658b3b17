"""A model's text on its way into a record: the one way, whatever the text is for.

It can be written (no half surrogate pairs), it is without its reasoning, and it says whether that
was there and whether the token limit cut it off.
"""

from dataclasses import dataclass

from engine.generators.base import Completion
from engine.messages import Message, without_surrogates

__all__ = ["Reply", "reply_of"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said. `said` is without its reasoning, `text` stripped as well; both may be
    empty. `reasoned` says that reasoning was removed, `truncated` that it met its token limit."""

    said: str
    reasoned: bool
    truncated: bool
    message: Message
    """All of it as a turn, with its tokens if they spell what is written."""

    @property
    def text(self) -> str:
        """What goes into a record."""
        return self.said.strip()

    def turn(self, text: str) -> Message:
        """`text` as the next turn: the very message, with its tokens, unless more than white space
        was cut from it."""
        return self.message if text == self.message.content.strip() else Message("assistant", text)


def reply_of(completion: Completion | str) -> Reply:
    """What can be kept of a completion, or of text that came without one."""
    if isinstance(completion, str):
        completion = Completion(completion, "stop")
    written = without_surrogates(completion.text)
    said, reasoned = _without_reasoning(written)
    intact = written == completion.text
    message = completion.message if intact else Message("assistant", written)
    return Reply(said, reasoned, completion.finish_reason == "length", message)


def _without_reasoning(text: str) -> tuple[str, bool]:
    """`text` without a leading `<think>` block, and whether there was one.

    The block may lack its opening tag, which some chat templates write into the prompt. One that
    never closes is all there is: nothing of it is an answer.
    """
    opened = text.lstrip().startswith("<think>")
    reasoning, closing, answer = text.partition("</think>")
    if closing and (opened or "<think>" not in reasoning):
        return answer.lstrip(), True
    return ("", True) if opened else (text, False)
