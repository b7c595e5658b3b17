"""Is a revision in the language it should be in?"""

import re

from constitution.language import language_of
from engine.loop.shingles import words

__all__ = ["speaks_another_language"]

_ASKED_FOR = re.compile(
    r"\b(?:translat\w*|übersetz\w*|tradu[ciz]\w*|vertaal|language|sprache|langue|idioma|lingua"
    r"|english|german|french|spanish|italian|portuguese|dutch|russian|polish|turkish|arabic|hindi"
    r"|chinese|mandarin|japanese|korean|swedish|danish|norwegian|finnish|greek|latin|czech|ukrainian"
    r"|englisch|deutsch|französisch|spanisch|anglais|allemand|français|espagnol|inglés|alemán"
    r"|francés|español)\b",
    re.IGNORECASE,
)


_SHARED = 0.4
"""Two texts with a larger share of the distinct words in common are in one language."""


def speaks_another_language(text: str, said: str, answer: str) -> bool:
    """Whether `text` is in neither the language of what the user `said` nor that of `answer`.

    What cannot be told is never held against it, nor is anything where the user names a language
    or asks for a translation. What costs least is asked first: it settles most texts.
    """
    if _shares_words(text, f"{said} {answer}"):
        return False
    found = language_of(text)
    return (
        found is not None
        and all(language_of(part) not in (None, found) for part in (said, answer))
        and not _ASKED_FOR.search(said)
    )


def _shares_words(text: str, other: str) -> bool:
    """Whether two texts have so many words in common that they are in one language, which costs less
    than to tell which."""
    ours = set(words(text))
    return len(ours.intersection(words(other))) > _SHARED * len(ours)
