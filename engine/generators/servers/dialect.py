"""How one model behind one server wants to be asked: fields renamed, left out, added; system turns.

What a spec says holds from the start; the rest is learned from the first error that names a field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.generators.servers.errors import FieldRefused
from engine.generators.system_turns import fold_system, system_first
from engine.messages import Conversation, to_dicts

__all__ = ["RENAMED", "Dialect"]

RENAMED = (
    "max_tokens",
    "min_tokens",
    "temperature",
    "top_p",
    "seed",
    "logprobs",
    "top_logprobs",
    "n",
)
"""Fields that may be called otherwise."""
_NEEDED = (
    "logprobs", "top_logprobs", "n", "prompt", "prompt_logprobs", "return_token_ids",
    "continue_final_message", "add_generation_prompt",
)  # fmt: skip
"""Fields without which another question would be asked: whoever asks it must know."""
_SIGNED_32 = 31


@dataclass(slots=True)
class Dialect:
    """What is known of how to ask; `notes` are the things learned, in words.

    `extra` fields are the spec's own: a server that refuses one of them is not asked without it.
    """

    renamed: dict[str, str] = field(default_factory=dict)
    omitted: set[str] = field(default_factory=set)
    extra: Mapping[str, Any] = field(default_factory=dict)
    seed_bits: int = 32
    folds_system: bool = False
    largest: dict[str, int] = field(default_factory=dict)
    fixed: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def body(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The request's body as this server wants it, of fields by their usual names and of
        `messages`, which are turns."""
        written: dict[str, Any] = {}
        for name, value in asked.items():
            if name == "messages":
                written[name] = to_dicts(self._turns(value))
            elif name not in self.omitted:
                called = name if "prompt" in asked else self.renamed.get(name, name)
                written[called] = self._within_limits(name, value)
        for name, value in self.extra.items():
            inner = written.get(name)
            if isinstance(inner, Mapping) and isinstance(value, Mapping):
                written[name] = {**inner, **value}
            else:
                written[name] = value
        return written

    def _within_limits(self, name: str, value: Any) -> Any:
        if name == "seed":
            return value % 2**self.seed_bits
        value = self.fixed.get(name, value)
        return min(value, self.largest[name]) if name in self.largest else value

    def _turns(self, messages: Conversation) -> Conversation:
        """The conversation with its system turns where the server takes them."""
        return fold_system(messages) if self.folds_system else system_first(messages)

    def learn(
        self, refused: FieldRefused, asked: Mapping[str, Any], sent: Mapping[str, Any]
    ) -> bool:
        """Ask otherwise from now on; False where that changes nothing of what was `sent`, or the field
        cannot be done without. A request sent before something was learned only has to be sent again."""
        if self.body(asked) != sent:
            return True
        own = {other: name for name, other in self.renamed.items()}
        name = own.get(refused.field, refused.field)
        if name in _NEEDED or name in self.extra:
            return False
        note = self._adapt(name, refused, asked)
        if note and self.body(asked) != sent:
            self.note(note)
            return True
        return False

    def _adapt(self, name: str, refused: FieldRefused, asked: Mapping[str, Any]) -> str | None:
        """Take from what a server said how to ask; what was learned, in words."""
        if name == "system":
            if not any(turn.role == "system" for turn in asked.get("messages", ())):
                return None
            self.folds_system = True
            return "takes no system turn: it becomes part of the first user turn"
        if name not in asked:
            return None
        if refused.renamed and name not in self.renamed:
            self.renamed[name] = refused.renamed
            return f"`{name}` is called `{refused.renamed}` there"
        if name == "seed" and self.seed_bits > _SIGNED_32 and refused.most:
            self.seed_bits = min(_SIGNED_32, (refused.most + 1).bit_length() - 1) or 1
            return f"takes seeds of {self.seed_bits} bits"
        if refused.only is not None and name not in self.fixed:
            self.fixed[name] = refused.only
            return f"takes `{name}` of {refused.only:g} alone"
        if refused.most and self._exceeds(asked[name], refused.most, name):
            self.largest[name] = refused.most
            return f"takes `{name}` up to {refused.most:,}"
        if name == "max_tokens":  # an answer without an end costs more than a failure
            return None
        self.omitted.add(name)
        return f"does not take `{name}`"

    def _exceeds(self, value: Any, most: int, name: str) -> bool:
        now = self._within_limits(name, value)
        return name != "seed" and isinstance(now, int | float) and now > most

    def note(self, note: str) -> None:
        """Say once what was found out."""
        self.notes.append(note)
