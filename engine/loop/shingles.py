"""What texts have in common, by runs of words: copies, echoes and loops.

Shingles are runs of a few words (Broder 1997, "On the resemblance and containment of documents");
a text's are found and counted in time proportional to it.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise

__all__ = ["copies", "echoes", "loops", "words"]

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f\n]+")
_COPIED = 3
"""Words of a shingle that may be a copy: a model that copies an example still changes words."""
_COPIED_SHARE = 0.35
_FEWEST_COPIED = 9
_COPIED_RUN = 14
"""Words copied one after the other that are a copy, however long the text around them is."""
_ECHOED_SHARE = 0.8
_LOOPED = 4
_DISTINCT_SHARE = 0.5
_FEWEST_LOOPED = 24
_SAID_AGAIN = 3

_Shingle = tuple[str, ...]


def words(text: str) -> list[str]:
    """The words of a text, in lower case; in Chinese and Japanese each character is one."""
    return _WORD.findall(text.lower().replace("’", "'").replace("'", ""))


def copies(text: str, requests: Iterable[str], own: Iterable[str]) -> bool:
    """Whether `text` is in good part words of `requests` that are in none of the texts `own`."""
    written = words(text)
    shown = {shingle for request in requests for shingle in _shingles(words(request), _COPIED)}
    for said in own:
        shown.difference_update(_shingles(words(said), _COPIED))
    longest, copied = _covered(written, shown)
    share = copied / max(1, len(written))
    return longest >= _COPIED_RUN or (copied >= _FEWEST_COPIED and share >= _COPIED_SHARE)


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
    pairs of words."""
    asked, said, before = (set(pairwise(words(part))) for part in (question, text, answer))
    needed = _ECHOED_SHARE * max(len(asked), len(said))
    return len(asked & said) >= max(2, needed) and len(asked & before) < needed


def loops(text: str, prompt: str) -> bool:
    """Whether `text` goes round in a circle with words that the prompt did not give it: one
    sentence three times in a row, everything twice, or few runs of words that are not repeated."""
    given = set(_shingles(words(prompt), _LOOPED))
    written = words(text)
    counts = Counter(s for s in _shingles(written, _LOOPED) if s not in given)
    repeated = counts.total() > 0 and len(counts) <= _DISTINCT_SHARE * counts.total()
    if repeated and len(written) >= _FEWEST_LOOPED:
        return True
    half, odd = divmod(len(written), 2)
    if not odd and half >= _LOOPED and written[:half] == written[half:]:
        return tuple(written[:_LOOPED]) not in given
    return any(tuple(s[:_LOOPED]) not in given for s in _said_again(text))


def _said_again(text: str) -> Iterator[list[str]]:
    """Sentences of some length that come three times in a row."""
    before: list[str] = []
    times = 1
    for sentence in filter(None, map(words, _SENTENCE_END.split(text))):
        spoken = [word for word in sentence if not word.isdigit()]
        times = times + 1 if spoken == before else 1
        before = spoken
        if times == _SAID_AGAIN and len(spoken) >= _LOOPED:
            yield spoken


def _shingles(written: Sequence[str], size: int) -> Iterator[_Shingle]:
    return zip(*(written[start:] for start in range(size)), strict=False)
