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
_SPLIT = ("logprobs", "top_logprobs", "n")
"""Fields that carry a verdict: without them it is asked for in another way."""
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
                written[self.renamed.get(name, name)] = self._within_limits(name, value)
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

    def learn(self, refused: FieldRefused, asked: Mapping[str, Any]) -> bool:
        """Ask otherwise from now on; False where nothing is left to try, or the field carries a
        verdict. A request sent before something was learned only has to be sent again."""
        if refused.field == "system":
            return self._learn_system(asked["messages"])
        own = {other: name for name, other in self.renamed.items()}
        name = own.get(refused.field, refused.field)
        if name in _SPLIT or name in self.extra:
            return False
        sent = name in asked and name not in self.omitted
        if sent and refused.renamed and name not in self.renamed:
            self.renamed[name] = refused.renamed
            self.note(f"`{name}` is called `{refused.renamed}` there")
        elif sent and name == "seed" and self.seed_bits > _SIGNED_32 and refused.most:
            self.seed_bits = _SIGNED_32
            self.note("takes seeds of 31 bits")
        elif sent and refused.only is not None and name not in self.fixed:
            self.fixed[name] = refused.only
            self.note(f"takes `{name}` of {refused.only:g} alone")
        elif sent and refused.most and self._exceeds(asked[name], refused.most, name):
            self.largest[name] = refused.most
            self.note(f"takes `{name}` up to {refused.most:,}")
        elif sent:
            self.omitted.add(name)
            self.note(f"does not take `{name}`")
        return True

    def _exceeds(self, value: Any, most: int, name: str) -> bool:
        now = self._within_limits(name, value)
        return isinstance(now, int | float) and now > most

    def _learn_system(self, messages: Conversation) -> bool:
        if not any(turn.role == "system" for turn in messages):
            return False
        if not self.folds_system:
            self.folds_system = True
            self.note("takes no system turn: it becomes part of the first user turn")
        return True

    def note(self, note: str) -> None:
        """Say once what was found out."""
        self.notes.append(note)
