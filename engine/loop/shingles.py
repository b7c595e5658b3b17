"""What texts have in common, by runs of words: copies, echoes and loops.

Shingles are runs of a few words (Broder 1997, "On the resemblance and containment of documents");
a text's are found and counted in time proportional to it.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from constitution.text_measures import UNSPACED

__all__ = ["copies", "echoes", "loops", "words"]

_WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+")
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f\n]+")
_COPIED = 3
"""Words of a shingle that may be a copy: a model that copies an example still changes words."""
_COPIED_SHARE = 0.35
_FEWEST_COPIED = 6
_COPIED_RUN = 14
"""Words copied one after the other that are a copy, however long the text around them is."""
_ECHOED_SHARE = 0.6
_ASKS_FOR_ITS_WORDS = re.compile(
    r"\b(?:correct|proof-?read|rewrite|rephrase|reword|paraphrase|repeat|fix|edit|shorten|copy"
    r"|spell"
    r"|translate|quote|summari[sz]e|polish|times)\b",
    re.IGNORECASE,
)
_LOOPED = 4
_DISTINCT_SHARE = 0.5
_FEWEST_LOOPED = 24
_SAID_AGAIN = 3
_LONGEST_LOOP = 12
"""Words of a row of equal sentences: a short refrain may be sung three times."""

_Shingle = tuple[str, ...]


def words(text: str) -> list[str]:
    """The words of a text, in lower case; in Chinese and Japanese each character is one."""
    return _WORD.findall(text.lower().replace("’", "'").replace("'", ""))


def copies(text: str, requests: Iterable[str], own: Iterable[str]) -> bool:
    """Whether `text` is in good part words of `requests` that are in none of the texts `own`."""
    written = words(text)
    of_requests = [_shingles_of(request) for request in requests]
    shown = {
        shingle
        for shingle in _shingles(written, _COPIED)
        if any(shingle in there for there in of_requests)
    }
    if not shown:
        return False
    for said in own:
        shown.difference_update(_shingles(words(said), _COPIED))
    longest, copied = _covered(written, shown)
    if longest >= _COPIED_RUN:
        return True
    return len(shown) >= _FEWEST_COPIED and copied >= _COPIED_SHARE * len(written)


@lru_cache(maxsize=256)
def _shingles_of(request: str) -> frozenset[_Shingle]:
    """Of a text that comes again and again, since it is the constitution's."""
    return frozenset(_shingles(words(request), _COPIED))


def _covered(written: Sequence[str], shown: Collection[_Shingle]) -> tuple[int, int]:
    """The longest run of words within shingles of `shown`, and how many words such runs have."""
    longest = copied = run = 0
    for shingle in _shingles(written, _COPIED):
        if shingle not in shown:
            run = 0
            continue
        new = 1 if run else _COPIED
        run += new
        copied += new
        longest = max(longest, run)
    return longest, copied


def echoes(text: str, question: str, answer: str) -> bool:
    """Whether `text` says `question` again where `answer` did not: each has most of the other's
    pairs of words. Not where the user asks for their own words to be put right or written again."""
    asked, said = set(pairwise(words(question))), set(pairwise(words(text)))
    needed = _ECHOED_SHARE * max(len(asked), len(said))
    if len(asked & said) < max(2, needed) or _ASKS_FOR_ITS_WORDS.search(question):
        return False
    return len(asked.intersection(pairwise(words(answer)))) < needed


def loops(text: str, prompt: str) -> bool:
    """Whether `text` goes round in a circle with words that the prompt did not give it: a sentence
    several times in a row, everything twice, or few runs of words that are not repeated."""
    given = set(_shingles(words(prompt), _LOOPED))
    sentences = [s for s in map(words, _SENTENCE_END.split(text)) if s]
    own = [s for s in sentences if len(s) < _LOOPED or not given.issuperset(_shingles(s, _LOOPED))]
    written = [word for sentence in own for word in sentence if not word.isdigit()]
    shingles = list(_shingles(written, _LOOPED))
    if len(written) >= _FEWEST_LOOPED and len(set(shingles)) <= _DISTINCT_SHARE * len(shingles):
        return True
    half, odd = divmod(len(written), 2)
    twice = not odd and half >= _LOOPED and written[:half] == written[half:]
    return twice or _longest_loop(own) >= _LONGEST_LOOP


def _longest_loop(sentences: Iterable[list[str]]) -> int:
    """Words of the longest row of one sentence, three times or more, numbers aside."""
    longest = times = 0
    before: list[str] = []
    for sentence in sentences:
        spoken = [word for word in sentence if not word.isdigit()]
        if not spoken:
            continue
        times = times + 1 if spoken == before else 1
        before = spoken
        if times >= _SAID_AGAIN:
            longest = max(longest, times * len(spoken))
    return longest


def _shingles(written: Sequence[str], size: int) -> Iterator[_Shingle]:
    return zip(*(written[start:] for start in range(size)), strict=False)
