"""Entries of text from a page's scripts (a post, an article, a review; as markup), and which of them its own text lacks."""

import re
from collections.abc import Callable, Iterable
from html import unescape

_GRAM = 5
"""Words in a row that are compared."""
_IDEOGRAPH = "\u3041-\u30ff\u3400-\u9fff"
_WORD = re.compile(f"[{_IDEOGRAPH}]|[^\\W{_IDEOGRAPH}]+")
_TAG = re.compile(r"<[^<>]*>")


def lacking(entries: Iterable[str], text: Callable[[], str], fewest: int) -> tuple[list[str], int]:
    """The entries that the text lacks, in order, and their words: of an entry's runs of five words, less than half are in the
    text, and not all in the entries before it. Nothing if these are not at least `fewest` words; `text` is called if they may
    be."""
    sized = [(entry, words(unescape(_TAG.sub(" ", entry)))) for entry in entries]
    if sum(len(own) for _, own in sized) < fewest:
        return [], 0
    seen, earlier = _Runs(words(text())), _Runs([])
    found, size = [], 0
    for entry, own in sized:
        if own and seen.share(own) < 0.5 and earlier.share(own) < 1:
            found.append(entry)
            size += len(own)
            earlier.add(own)
    return (found, size) if size >= fewest else ([], 0)


def without_repeated(text: str, added: str, gap: str) -> str:
    """The paragraphs of `text`, `gap` between them, that are not in `added`."""
    seen = _Runs(words(added))
    paragraphs = [(paragraph, words(paragraph)) for paragraph in text.split(gap)]
    return gap.join(paragraph for paragraph, own in paragraphs if not own or seen.share(own) < 0.5)


def words(text: str) -> list[str]:
    """Words in small letters, each ideograph by itself."""
    return _WORD.findall(text.lower())


class _Runs:
    """The runs of up to five words of texts."""

    def __init__(self, own: list[str]) -> None:
        self.texts = [own]
        self.runs: list[set[tuple[str, ...]]] = [set() for _ in range(_GRAM + 1)]
        """By their size; those of a size are found when they are first asked for."""
        self.read = [0] * (_GRAM + 1)
        """How many of the texts they are of, by size."""

    def add(self, own: list[str]) -> None:
        self.texts.append(own)

    def share(self, own: list[str]) -> float:
        """The share of the runs of these words, of which there is at least one, that are in the texts."""
        size = min(_GRAM, len(own))
        known = self.runs[size]
        for text in self.texts[self.read[size] :]:
            known.update(_runs(text, size))
        self.read[size] = len(self.texts)
        runs = _runs(own, size)
        return sum(run in known for run in runs) / len(runs)


def _runs(own: list[str], size: int) -> list[tuple[str, ...]]:
    return list(zip(*(own[start:] for start in range(size)), strict=False))
