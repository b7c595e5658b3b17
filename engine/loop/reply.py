"""A model's text on its way into a record: the one way, whatever the text is for.

It can be written (no half surrogate pairs), it is without its reasoning, and it says whether that
was there and whether the token limit cut it off.
"""

from dataclasses import dataclass

from engine.generators.base import Completion
from engine.generators.reasoning import split_reasoning
from engine.messages import Message, without_surrogates

__all__ = ["Reply", "reply_of"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said. `said` is without its reasoning, `text` stripped as well; both may be
    empty. `reasoning` is what it thought before, None if it did not; `truncated` says that it met its
    token limit."""

    said: str
    reasoning: str | None
    truncated: bool
    message: Message
    """All of it as a turn, with its tokens if they spell what is written."""

    @property
    def text(self) -> str:
        """What goes into a record."""
        return self.said.strip()

    @property
    def reasoned(self) -> bool:
        """Whether reasoning was taken from it."""
        return self.reasoning is not None

    def turn(self, text: str) -> Message:
        """`text` as the next turn: the very message, with its tokens, unless more than white space
        was cut from it."""
        return self.message if text == self.message.content.strip() else Message("assistant", text)


def reply_of(completion: Completion | str) -> Reply:
    """What can be kept of a completion, or of text that came without one."""
    if isinstance(completion, str):
        completion = Completion(completion, "stop")
    written = without_surrogates(completion.text)
    said, reasoning = split_reasoning(written)
    if completion.reasoning is not None:
        apart = without_surrogates(completion.reasoning)
        reasoning = "\n\n".join(filter(None, (apart, reasoning)))
    intact = written == completion.text
    message = completion.message if intact else Message("assistant", written)
    return Reply(said, reasoning, completion.finish_reason == "length", message)
