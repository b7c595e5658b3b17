"""Is a revision in the language it should be in?"""

import re

from constitution.language import language_of

__all__ = ["speaks_another_language"]

_ASKED_FOR = re.compile(
    r"\b(?:translat\w*|übersetz\w*|tradu[ciz]\w*|vertaal|language|sprache|langue|idioma|lingua"
    r"|english|german|french|spanish|italian|portuguese|dutch|russian|polish|turkish|arabic|hindi"
    r"|chinese|mandarin|japanese|korean|swedish|danish|norwegian|finnish|greek|latin|czech|ukrainian"
    r"|englisch|deutsch|französisch|spanisch|anglais|allemand|français|espagnol|inglés|alemán"
    r"|francés|español)\b",
    re.IGNORECASE,
)


def speaks_another_language(text: str, said: str, answer: str) -> bool:
    """Whether `text` is in neither the language of what the user `said` nor that of `answer`.

    What cannot be told is never held against it, nor is anything where the user names a language
    or asks for a translation.
    """
    if _ASKED_FOR.search(said):
        return False
    found, asked, answered = (language_of(part) for part in (text, said, answer))
    return None not in (found, asked, answered) and found not in (asked, answered)
