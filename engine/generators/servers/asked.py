"""How a spec says that its model is to be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a spec says that its model is to be asked, as `docs/generators.md` has it.

    What can move an answer is in the generator's fingerprint.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    omitted: tuple[str, ...] = ()
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    seed_bits: int = 32
    fold_system: bool = False
    samples: int = 16
    thinking: bool | int | None = None
    reasoning_effort: str | None = None

    @property
    def extra(self) -> dict[str, Any]:
        """Fields beside those of every request."""
        found = dict(self.extra_body)
        if self.thinking is not None:
            on = self.thinking is not False
            template: dict[str, Any] = {"enable_thinking": on, "thinking": on}
            if not isinstance(self.thinking, bool):
                template["thinking_budget"] = self.thinking
            said = found.get("chat_template_kwargs", {})
            found["chat_template_kwargs"] = {**template, **said} if isinstance(said, dict) else said
        if self.reasoning_effort is not None:
            found.setdefault("reasoning_effort", self.reasoning_effort)
        return found

    @property
    def identity(self) -> list[Any]:
        """What moves answers; nothing where the spec says nothing."""
        moves = {
            "omitted": sorted(self.omitted),
            "extra": self.extra,
            "seed_bits": self.seed_bits % 32,
            "fold_system": self.fold_system,
        }
        moves = {name: value for name, value in moves.items() if value}
        return [moves] if moves else []
