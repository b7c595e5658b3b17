"""Which language a text is in, said only where there is little doubt.

py3langid (a naive Bayes model over byte n-grams: Lui and Baldwin 2012, "langid.py") scores the
text. Short texts, names, code and mixed texts are what it is wrong about, so they get no answer.
"""

import re
from functools import cache
from typing import Any

__all__ = ["LANGUAGES", "is_dense", "language_name", "language_of"]

LANGUAGES = frozenset(
    "af am an ar as az ba be bg bn br bs ca cs cy da de dz el en eo es et eu fa fi fo fr fy ga gd gl gu "
    "ha he hi hr ht hu hy id ig is it ja jv ka kk km kn ko ku ky la lb lg ln lo lt lv mg mk ml mn "
    "mr ms mt my ne nl nn no oc om or pa pl ps pt qu ro ru rw sa se si sk sl sn so sq sr st sv sw "
    "ta te tg th tk tl tr tt ug uk ur uz vi vo wa xh yo zh zu".split()
)
"""The ISO 639-1 codes that `language_of` can give."""

_NAMES = {
    "ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "fi": "Finnish", "fr": "French", "he": "Hebrew",
    "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
_NO_LANGUAGE = "zxx"
"""What py3langid calls text without any."""
_LEAST_WORDS, _LEAST_LETTERS, _LEAST_DENSE = 4, 20, 8
_LEAST_CONFIDENCE, _LEAST_OF_A_HALF = 0.6, 0.9
"""Of the whole text, and of one half for it to count as a second language."""
_MOST_CAPITALISED = 0.6
"""Share of words: above it they are names or titles."""
_LEAST_LETTER_SHARE = 0.6
"""Of the characters other than white space: below it they are code or figures."""
_LOOKED_AT = 3000
"""Characters, half of them at the beginning of the text and half at its end."""

_NOT_PROSE = re.compile(r"`[^`\n]*+`|https?://\S++")
_WORD = re.compile(r"[^\W\d_]++")
_DENSE = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
)
"""A letter of a script without spaces between words, or that writes a syllable: a few say enough."""


def language_of(text: str) -> str | None:
    """The ISO 639-1 code of the language of `text`, one of `LANGUAGES`.

    None where it is too short (below 4 words or 20 letters), too mixed, or more code, names or
    figures than prose. Takes time linear in the text.
    """
    prose = _prose(text)
    words = _WORD.findall(prose)
    if not _is_enough(prose, words):
        return None
    language = _confident(prose, _LEAST_CONFIDENCE)
    if language is None:
        return None
    halves = (" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :]))
    others = {_confident(half, _LEAST_OF_A_HALF) for half in halves if len(half) >= _LEAST_LETTERS}
    return language if others <= {language, None} else None


def is_dense(text: str) -> bool:
    """Whether any of it is in a script without spaces between words, or that writes a syllable."""
    return _DENSE.search(text) is not None


def language_name(code: str) -> str:
    """`German` for `de`; of a language less often written, its code."""
    return _NAMES.get(code) or f"the language {code!r}"


def _prose(text: str) -> str:
    """The beginning and the end of what is not code, nor an address."""
    outside = " ".join(text.split("```")[::2])
    if len(outside) > _LOOKED_AT:
        half = _LOOKED_AT // 2
        outside = f"{outside[:half]}\n{outside[-half:]}"
    return _NOT_PROSE.sub(" ", outside)


def _is_enough(prose: str, words: list[str]) -> bool:
    letters, visible = sum(map(len, words)), sum(map(len, prose.split()))
    if letters < _LEAST_LETTER_SHARE * visible:
        return False
    if len(_DENSE.findall(prose)) >= max(_LEAST_DENSE, letters / 2):
        return True
    capitalised = sum(word[0].isupper() and not word.isupper() for word in words)
    return (
        len(words) >= _LEAST_WORDS
        and letters >= _LEAST_LETTERS
        and capitalised <= _MOST_CAPITALISED * len(words)
    )


def _confident(prose: str, least: float) -> str | None:
    language, confidence = _identifier().classify(prose)
    return language if confidence >= least and language != _NO_LANGUAGE else None


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([*LANGUAGES, _NO_LANGUAGE])
    return identifier
