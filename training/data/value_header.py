"""A stakeholder's profile said in the system turn, so that one policy can serve several of them.

The same prompt draws the same profile here as in the stages that judge its answers: the draw depends on
the seed and the prompt's id alone (`constitution.selection`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from constitution.schema import Constitution
from constitution.selection import draw_profile
from engine.messages import Message
from engine.prompts.rows import Prompt

__all__ = ["ValueHeader"]

_TEMPLATE = "value_header.jinja"


@dataclass(frozen=True, slots=True)
class ValueHeader:
    """Adds the header of the profile that a prompt draws; `stakeholder` is a profile, or shares."""

    constitution: Constitution
    stakeholder: str | Mapping[str, float]
    seed: int = 0

    def on(self, prompt: Prompt) -> Prompt:
        """The prompt with the header in its system turn, after what that said; and the profile in its
        column `stakeholder`."""
        name = draw_profile(self.stakeholder, prompt_id=prompt.id, seed=self.seed)
        assert name is not None
        turns = prompt.messages
        system = turns[0].content if turns[0].role == "system" else ""
        rest = turns[1:] if system else turns
        return replace(
            prompt,
            messages=(Message("system", self.text(name, system)), *rest),
            extra={**prompt.extra, "stakeholder": name},
        )

    def text(self, name: str, system: str = "") -> str:
        """The system turn of a profile."""
        described = self.constitution.stakeholders[name].description
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            undefined=StrictUndefined,
            autoescape=False,  # the output is a prompt, not HTML
            trim_blocks=True,
            lstrip_blocks=True,
        )
        told = environment.get_template(_TEMPLATE)
        return told.render(system=system, name=name, description=described or "").strip()
