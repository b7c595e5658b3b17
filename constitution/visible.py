"""Text of files and models, shown so that it cannot steer a terminal or hide from a reader."""

import re

__all__ = ["visible"]

# Characters that show nothing or reorder what is around them. Line breaks, tabs and the joiners
# that scripts and emoji need are left alone.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """`text` with its invisible and reordering characters spelled out, as in `⟨U+202E⟩`."""
    return _HIDDEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)
