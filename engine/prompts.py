"""Prompts: what a run reads. Files are streamed, checked whole before anything is spent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.messages import Conversation

__all__ = ["Prompt"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One conversation to answer: an optional system turn, then user and assistant in turn, ending
    with the user. `row` counts from 0; `extra` holds the other columns."""

    id: str
    row: int
    messages: Conversation
    tags: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
