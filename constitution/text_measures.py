"""What can be counted in a reply, exactly and in time linear in it."""

import re
from collections.abc import Iterator
from unicodedata import category

__all__ = [
    "UNSPACED",
    "count_sentences",
    "count_words",
    "ends_with_question",
    "list_in",
    "reading_grade",
    "tokens",
]

UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Within a class of a pattern: the characters of Chinese and Japanese, which put no spaces between
words. Each counts as a word."""

_WORD_OR_MARK = re.compile(r"\w++|[^\w\s]")
_LATIN_WORD = re.compile(r"[^\W\d_]++(?:['’][^\W\d_]++)*+")
_IDEOGRAPH = re.compile(f"[{UNSPACED}]")
_VOWELS = re.compile(r"[aeiouyáàâäãåæéèêëíìîïóòôöõøœúùûüý]++")
_ENDS, _WIDE_ENDS = ".!?…", "。\uff01\uff1f"
_ASKS = "?\uff1f\u061f"
_EMOJI = frozenset(("So", "Sk", "Mn", "Me", "Cf"))
"""Unicode categories of the characters that an emoji is made of."""
_SOUNDED = ("le", "les", "ted", "ded", "ses", "zes", "ces", "ges", "shes", "ches", "xes")
"""Endings whose e is spoken."""
_OPENERS = "\"'“\u2018«([{*_`"
_CLOSERS = "\"'”’»)]}*_`"
_ABBREVIATIONS = frozenset("e.g i.e mr mrs ms dr prof st vs cf approx no fig al".split())
_BULLET = re.compile(r"[-*+•◦▪‣·][ \t]++\S")
_NUMBERED = re.compile(r"[*_]{0,3}(?:\d{1,3}|[a-zA-Z])[.)][*_]{0,3}[ \t]++\S")
_TABLE_ROW = re.compile(r"\|[^|\n]*+\||<(?:table|tr|td)\b", re.IGNORECASE)
_HTML_ITEM = re.compile(r"<(?:ul|ol|li)\b", re.IGNORECASE)
_LIST_MARKS = (
    (_BULLET, "a bulleted list"),
    (_HTML_ITEM, "a bulleted list"),
    (_NUMBERED, "a numbered list"),
    (_TABLE_ROW, "a table"),
)


def count_words(text: str) -> int:
    """What stands between white space and holds a letter or a digit; each ideograph and kana too."""
    spaced, ideographs = _IDEOGRAPH.subn(" ", text)
    return ideographs + sum(any(map(str.isalnum, word)) for word in spaced.split())


def count_sentences(text: str) -> int:
    """Stretches with a word in them that a full stop, `!`, `?` or line break ends.

    A stop within a number or an address ends nothing, nor one after an abbreviation (`e.g.`) or an
    initial.
    """
    return sum(1 for _ in _sentences(text))


def _sentences(text: str) -> Iterator[None]:
    """One for each sentence."""
    for end in _WIDE_ENDS:
        text = text.replace(end, f"{end} ")
    for line in text.splitlines():
        has_word = False
        for word in line.split():
            has_word = has_word or any(map(str.isalnum, word))
            if has_word and _ends_sentence(word):
                yield None
                has_word = False
        if has_word:
            yield None


def _ends_sentence(word: str) -> bool:
    bare = word.rstrip(_CLOSERS)
    if not bare.endswith((*_ENDS, *_WIDE_ENDS)):
        return False
    stem = bare[:-1].lstrip(_OPENERS).casefold()
    initial = len(stem) == 1 and stem.isalpha() and stem != "i" and bare[-2:-1].isupper()
    return not (bare.endswith(".") and (stem in _ABBREVIATIONS or initial))


def ends_with_question(text: str) -> bool:
    """Whether the last character that is not white space, a closing mark or an emoji asks."""
    for character in reversed(text):
        if character in _ASKS:
            return True
        if not (character.isspace() or character in _CLOSERS or category(character) in _EMOJI):
            return False
    return False


def reading_grade(text: str) -> float | None:
    """The Flesch-Kincaid grade of an English text; None without a word.

    0.39 words per sentence + 11.8 syllables per word - 15.59 (Kincaid, Fishburne, Rogers and
    Chissom 1975, "Derivation of new readability formulas for Navy enlisted personnel"). Syllables
    are counted by groups of vowels, without a silent e.
    """
    words = _LATIN_WORD.findall(text)
    if not words:
        return None
    syllables = sum(map(_syllables, words))
    sentences = max(1, count_sentences(text))
    return 0.39 * len(words) / sentences + 11.8 * syllables / len(words) - 15.59


def _syllables(word: str) -> int:
    word = word.casefold()
    silent = word.endswith(("e", "es", "ed")) and not word.endswith(_SOUNDED)
    return max(1, len(_VOWELS.findall(word)) - silent)


def list_in(text: str) -> str | None:
    """The first kind of list or table that a line outside code begins, as `a bulleted list`."""
    for block in text.split("```")[::2]:
        for line in block.splitlines():
            for mark, kind in _LIST_MARKS:
                if mark.match(line.lstrip()):
                    return kind
    return None


def tokens(text: str) -> str:
    """The words and marks of a text, casefolded, each between line feeds: what is in one text as
    whole words is in its tokens as a substring."""
    plain = text.replace("’", "'").casefold()
    return "\n" + "".join(f"{token}\n" for token in _WORD_OR_MARK.findall(plain))
