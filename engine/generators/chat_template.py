"""From a conversation to prompt tokens, and back: chat templates without their two traps.

Untrusted text that spells a control token is broken before rendering (`control_tokens`). And sampled
text is often not tokenized back into the tokens sampled, so a turn that carries its tokens is spliced
in verbatim: the prompt of the next turn then begins with exactly what is in the KV cache.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from constitution.reading import read_text
from engine.generators.base import FailureReason, GenerationError, split_answer
from engine.generators.control_tokens import Neutraliser, special_tokens, structural_tokens
from engine.generators.decoding import Decoded, Decoder
from engine.generators.template_rendering import ChatTemplate
from engine.messages import Conversation, Message, TokenIds

__all__ = ["ChatEncoder", "common_prefix", "read_chat_template"]


def read_chat_template(path: Path, remedy: str) -> str:
    """The text of a Jinja file. Raises InputError if it cannot be read, and for any other file: what
    that says would be in every prompt, and in the tokenizer of a trained model."""
    text = read_text(path, remedy)
    if "messages" in text and "{" in text:
        return text
    raise InputError(Problem(str(path), "is not a chat template: it reads no `messages`", remedy))


class ChatEncoder:
    """Renders and tokenizes conversations with a Hugging Face tokenizer.

    `chat_template` is the text of a Jinja template that replaces the tokenizer's own; `where`
    names the model in error messages; `context` is the most tokens that prompt and completion may
    have together; `template_arguments` go to every rendering of the template. Raises InputError if
    there is no template at all.
    """

    def __init__(
        self,
        tokenizer: Any,
        tokenizer_id: str,
        chat_template: str | None,
        where: str,
        *,
        context: int = sys.maxsize,
        template_arguments: Mapping[str, object] | None = None,
    ) -> None:
        if chat_template is None and not tokenizer.chat_template:
            problem = "the model's tokenizer has no chat template"
            raise InputError(Problem(where, problem, "give one with --chat-template FILE"))
        self.context = context
        self._tokenizer = tokenizer
        self._tokenizer_id = tokenizer_id
        self._template = ChatTemplate(tokenizer, chat_template, template_arguments)
        special = special_tokens(tokenizer)
        self._special_ids = frozenset(special.values())
        written = chat_template or str(tokenizer.chat_template)
        self._neutraliser = Neutraliser.for_tokens(structural_tokens(tokenizer, written))
        self._decoder = Decoder(tokenizer, special, self.restore)

    def encode(self, messages: Conversation) -> list[int]:
        """Prompt tokens up to where the assistant's next turn begins, or continues if it has begun.

        A begun turn adds its own tokens to the prompt's, and before them what the template writes
        before an answer (an empty thought, say), unless it knows the very tokens sampled there.
        Raises GenerationError if the template refuses the conversation or it leaves no room.
        """
        if messages and messages[-1].role == "assistant":
            prompt, begun = self.encode_to_score(messages)
            return prompt + begun
        prompt = self._encode_turns(messages)
        self._require_room(len(prompt))
        return prompt

    def encode_to_score(self, messages: Conversation) -> tuple[list[int], list[int]]:
        """Prompt tokens, and those of the last turn, which is the assistant's. Raises as `encode`
        does, and ValueError if the last turn is not the assistant's."""
        before, answer = split_answer(messages)
        prompt, own = self._encode_turns(before), self.encode_answer(answer)
        if answer.tokens is None or not self._repeats(answer, answer.tokens):
            prompt += self._encode_text(self._template.answer_opening)
        self._require_room(len(prompt) + len(own))
        return prompt, own

    def encode_answer(self, message: Message) -> list[int]:
        """Tokens of an assistant's turn, without its end: its own if it knows them."""
        if message.tokens is not None and self._repeats(message, message.tokens):
            return list(message.tokens.ids)
        return self._encode_text(self._neutraliser.neutralise(message.content))

    def _require_room(self, tokens: int) -> None:
        if tokens >= self.context:
            message = f"{tokens} prompt tokens do not fit the model's {self.context}"
            raise GenerationError(FailureReason.CONTEXT_OVERFLOW, message)

    def _encode_turns(self, messages: Conversation) -> list[int]:
        arranged = self._template.arranged(messages)
        messages = self._neutraliser.neutralise_messages(arranged)
        rendered = self._template.render(messages)
        ids: list[int] = []
        position = 0
        for index, message in enumerate(messages):
            if message.tokens is None or not self._repeats(message, message.tokens):
                continue
            before = self._template.render(messages[:index])
            if len(before) >= position and rendered.startswith(before + message.content):
                ids += self._encode_text(rendered[position : len(before)])
                ids += message.tokens.ids
                position = len(before) + len(message.content)
        return ids + self._encode_text(rendered[position:])

    def decode(self, ids: Sequence[int], after: Sequence[int] = ()) -> str:
        """The text of generated tokens, which continue `after`: no special tokens, broken control
        tokens restored."""
        return self._decoder.text(ids, after)

    def read(
        self,
        prompt: Sequence[int],
        begun: Sequence[int],
        ids: Sequence[int],
        said: str | None = None,
    ) -> Decoded:
        """The answer in the tokens generated after `prompt`, of which the `begun` answer is the end,
        and the reasoning if it was marked by special tokens or begun by the prompt. `said` is their
        text if an engine has decoded them."""
        return self._decoder.read(ids, begun, opening=self.opening(prompt), said=said)

    def opening(self, prompt: Sequence[int]) -> str:
        """The tag at the prompt's end that opens reasoning; empty without one."""
        return self._decoder.opening(prompt)

    def answer_start(self, prompt: Sequence[int], ids: Sequence[int]) -> int | None:
        """Where in generated `ids` the answer begins, after reasoning; None if none has closed."""
        return self._decoder.answer_start(ids, self.opening(prompt))

    def closing(self, prompt: Sequence[int], ids: Sequence[int]) -> list[int] | None:
        """Tokens that would end the reasoning which `ids` are still at; None if they are at none."""
        text = self._decoder.closing(ids, self.opening(prompt))
        return None if text is None else self._encode_text(text)

    def restore(self, text: str) -> str:
        """A model's output with control tokens that it repeated from neutralised text restored."""
        return self._neutraliser.restore(text)

    def generated_tokens(self, ids: Sequence[int]) -> TokenIds | None:
        """What the next prompt may repeat verbatim; None if a special token is left inside, so
        that a model cannot forge the structure of a conversation."""
        kept = self._decoder.strip_end(ids)
        if not self._special_ids.isdisjoint(kept):
            return None
        return TokenIds(self._tokenizer_id, kept)

    def choice_token_ids(self, choices: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """For each short answer, the first tokens that only this one of them may begin with.

        Raises ValueError if nothing distinguishes a choice from the others.
        """
        first = [
            {
                self._encode_text(text)[0]
                for text in (c, f" {c}", c.lower(), c.upper(), c.capitalize())
            }
            for c in choices
        ]
        own = []
        for at, choice in enumerate(choices):
            ids = first[at].difference(*first[:at], *first[at + 1 :])
            if not ids:
                what = f"no first token distinguishes {choice!r} from the others of {choices}"
                raise ValueError(what)
            own.append(tuple(sorted(ids)))
        return tuple(own)

    def _repeats(self, message: Message, tokens: TokenIds) -> bool:
        """Whether `tokens` are ours and say what the message says: an edited text keeps none."""
        if tokens.tokenizer != self._tokenizer_id or not self._special_ids.isdisjoint(tokens.ids):
            return False
        return self.decode(tokens.ids).strip() == self.restore(message.content).strip()

    def _encode_text(self, text: str) -> list[int]:
        """Tokens of rendered text, which brings its own BOS."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False) if text else []
        return ids


def common_prefix(*texts: Sequence[Any]) -> int:
    """How many tokens all of them begin with."""
    columns = enumerate(zip(*texts, strict=False))
    return next((at for at, column in columns if len(set(column)) > 1), min(map(len, texts)))
