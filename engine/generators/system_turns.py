"""Where a system turn may stand: first and alone, or folded into the first user turn.

Most chat templates take one system turn, and only in front; some take none, and then refuse it or
drop it without a word.
"""

from engine.messages import Conversation, Message

__all__ = ["fold_system", "system_first"]


def system_first(messages: Conversation) -> Conversation:
    """The same turns with what every system turn says in one, in front."""
    if all(message.role != "system" for message in messages[1:]):
        return messages
    system, others = _apart(messages)
    return (Message("system", system), *others) if system else others


def fold_system(messages: Conversation) -> Conversation:
    """The same turns without a system turn: the first user turn begins with what it says, and a blank
    line. Where there is no user turn, what it says is one, in front."""
    if all(message.role != "system" for message in messages):
        return messages
    system, others = _apart(messages)
    if not system:
        return others
    first = next((at for at, message in enumerate(others) if message.role == "user"), None)
    if first is None:
        return (Message("user", system), *others)
    asked = Message("user", f"{system}\n\n{others[first].content}")
    return (*others[:first], asked, *others[first + 1 :])


def _apart(messages: Conversation) -> tuple[str, Conversation]:
    """What the system turns say, joined by blank lines, and the other turns."""
    said = (message.content for message in messages if message.role == "system")
    others = tuple(message for message in messages if message.role != "system")
    return "\n\n".join(text for text in said if text.strip()), others
