"""One chat template, and what it makes of turns: found out by rendering probes, once.

Templates differ in more than spelling. Some take no system turn, some take a turn's text only as a
list of parts, and some write something between their generation prompt and an answer, such as an
empty thought.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import jinja2

from engine.generators.base import FailureReason, GenerationError
from engine.generators.reasoning import closing_of, opening_at_end
from engine.generators.system_turns import fold_system, system_first
from engine.messages import Conversation, Message, to_dicts

__all__ = ["ChatTemplate"]

_SYSTEM = Message("system", "speak plainly")
_USER = Message("user", "what is rain")
_ANSWER = Message("assistant", "rain is falling water")
_NEXT = Message("user", "and snow")
_LONGEST_OPENING = 400
"""Characters that a template may write between its generation prompt and an answer."""


class ChatTemplate:
    """A tokenizer's chat template, or `template` (Jinja) in its place, with `arguments` such as
    `enable_thinking` for every rendering."""

    def __init__(
        self, tokenizer: Any, template: str | None, arguments: Mapping[str, object] | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._arguments = dict(arguments or {})

    def arranged(self, messages: Conversation) -> Conversation:
        """The turns as the template takes them: no system turn but the first, and that folded into
        the user's where the template would refuse or drop it."""
        if all(message.role != "system" for message in messages):
            return messages
        return system_first(messages) if self.takes_system else fold_system(messages)

    def render(self, messages: Conversation) -> str:
        """The prompt up to where the assistant's next turn begins.

        `messages` are `arranged`. Raises GenerationError if the template refuses them.
        """
        try:
            return self._rendered(messages)
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(message.role for message in messages)
            message = f"the chat template refuses turns of {roles}: {error}"
            raise GenerationError(FailureReason.TEMPLATE_ERROR, message) from error

    @cached_property
    def takes_system(self) -> bool:
        """Whether what a system turn says is rendered; True of a template that refuses everything."""
        return self._shows(_SYSTEM, _USER) or not self._shows(_USER)

    @cached_property
    def answer_opening(self) -> str:
        """What comes between the generation prompt and an answer that has no reasoning before it:
        nothing, an empty thought or its end, or a channel's name."""
        asked = self._probed(_USER) or ""
        before, found, _ = self._answered().rpartition(_ANSWER.content)
        if found and before.startswith(asked):
            between = before[len(asked) :]
            return between if between.strip() and len(between) <= _LONGEST_OPENING else ""
        opened = opening_at_end(asked)
        return closing_of(opened) or "" if opened else ""

    @cached_property
    def answer_start(self) -> str:
        """What an answer without reasoning begins with after the generation prompt, white space too."""
        asked = self._probed(_USER) or ""
        before = self._answered().partition(_ANSWER.content)[0]
        between = before[len(asked) :] if before.startswith(asked) else None
        known = between is not None and len(between) <= _LONGEST_OPENING
        return between if between is not None and known else self.answer_opening

    @cached_property
    def answer_ends(self) -> tuple[str, str]:
        """What comes after an answer: where nothing follows, and where the user's next turn does."""
        last = self._answered().rpartition(_ANSWER.content)[2]
        return last, self._answered(_NEXT).rpartition(_ANSWER.content)[2]

    def write(self, turns: Sequence[Mapping[str, Any]], **options: Any) -> str | None:
        """Turns as they stand, of tools too, by the template; None where it refuses them. `options`
        are those of `apply_chat_template`, by default with a generation prompt."""
        try:
            return self._written(turns, **options)
        except (jinja2.TemplateError, TypeError, ValueError):
            return None

    def _answered(self, *after: Message) -> str:
        return self._probed(_USER, _ANSWER, *after, add_generation_prompt=False) or ""

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether a turn's text must be a list of parts, as of templates for images."""
        return not self._shows(_USER, parts=False) and self._shows(_USER, parts=True)

    def _shows(self, *messages: Message, parts: bool | None = None) -> bool:
        text = self._probed(*messages, parts=parts)
        shown = text.casefold() if text is not None else ""
        return all(message.content in shown for message in messages)

    def _probed(
        self,
        *messages: Message,
        parts: bool | None = None,
        add_generation_prompt: bool = True,
    ) -> str | None:
        try:
            return self._rendered(messages, parts, add_generation_prompt)
        except (jinja2.TemplateError, TypeError, ValueError):
            return None

    def _rendered(
        self,
        messages: Conversation,
        parts: bool | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        return self._written(
            to_dicts(messages), parts=parts, add_generation_prompt=add_generation_prompt
        )

    def _written(
        self, turns: Sequence[Mapping[str, Any]], *, parts: bool | None = None, **options: Any
    ) -> str:
        if self._takes_parts if parts is None else parts:
            turns = [
                {**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns
            ]
        text: str = self._tokenizer.apply_chat_template(
            list(turns),
            chat_template=self._template,
            tokenize=False,
            **{"add_generation_prompt": True, **self._arguments, **options},
        )
        return text
