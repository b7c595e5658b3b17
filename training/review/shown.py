"""An item in the words that a reviewer reads."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.messages import Conversation
from engine.report.summary import PrincipleText
from engine.report.wording import visible
from training.review.items import ReviewItem

__all__ = ["ShownItem", "shown_item"]


@dataclass(frozen=True, slots=True)
class ShownItem:
    """Texts as a tool can store and show them: never empty, with hidden characters spelled out
    (a NUL is more than some databases take, and reordering hides what a reply says)."""

    id: str
    prompt: str
    replies: tuple[str, ...]
    principles: str
    principle_ids: tuple[str, ...]


def shown_item(item: ReviewItem, texts: Mapping[str, PrincipleText]) -> ShownItem:
    """`item` with the statements of its principles; one without is shown by its id."""
    lines = [
        f"{name}: {texts[name].statement}" if name in texts else name for name in item.principles
    ]
    return ShownItem(
        id=item.id,
        prompt=_text(_conversation(item.prompt)),
        replies=tuple(map(_text, item.replies)),
        principles=_text("\n".join(lines)),
        principle_ids=item.principles,
    )


def _conversation(prompt: Conversation) -> str:
    """A question that stands alone as it is, several turns each under its role."""
    if len(prompt) == 1:
        return prompt[0].content
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in prompt)


def _text(text: str) -> str:
    return visible(text) if text.strip() else "(empty)"
