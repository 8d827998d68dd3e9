"""Counts listed words and phrases in a text, such as C4's list of bad words (Raffel et al. 2020, section 2.2; LDNOOBW).

A list is a text file with one entry per line. A directory holds one list per language, named by its code ("de", "de.txt";
"fr-CA-…" adds to "fr"). A document is searched for the entries of its own language; in a language without a list it has no
value. Words are those of filters/dedup/shingles.py, in lower case and without punctuation, so entries match whole words only.
In scripts written without spaces each letter is a word, so there an entry matches wherever its letters occur together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import uint64

from pipeline.arguments import text_array
from pipeline.errors import UserError
from pipeline.filters.dedup.shingles import word_hashes
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.kernels.hashing import fmix64
from pipeline.filters.kernels.unicode import find_slot, table_size
from pipeline.kernels import inner, kernel

_NO_LISTS = ("license", "readme", "users", "package.json", "licence")
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class _List:
    """A language's entries as hashes in a table, and the words of the longest entry."""

    keys: npt.NDArray[np.uint64]
    longest: int


class WordLists:
    """Entries by language; those under None apply to every document."""

    def __init__(self, entries: Mapping[str | None, Sequence[str]]) -> None:
        self.languages = tuple(sorted(name for name in entries if name is not None))
        self._lists = {name: _compile(counts) for name, counts in entries.items()}
        self._any = None in entries

    @classmethod
    def load(cls, path: Path | str) -> "WordLists":
        """Load a file, or a directory of lists by language. UserError if there is none, or for a list without words."""
        folder = Path(path)
        if folder.is_file():
            return cls({None: _read(folder)})
        entries: dict[str | None, list[str]] = {}
        for file in list_files(folder):
            entries.setdefault(language_of(file), []).extend(_read(file))
        return cls(entries)

    def count(self, texts: Texts, languages: pa.Array | None = None) -> npt.NDArray[np.float64]:
        """How often entries occur in each text; NaN for a language without a list, and for null."""
        array = text_array(texts)
        counts = np.full(len(array), np.nan)
        hashes = word_hashes(array)
        labels = [None] * len(array) if languages is None or self._any else languages.to_pylist()
        for row, (words, label) in enumerate(zip(hashes, labels, strict=True)):
            word_list = self._lists.get(None if self._any else label)
            if word_list is not None and array[row].is_valid:
                counts[row] = _count(words, word_list.keys, word_list.longest)
        return counts

    def share(self, texts: Texts, languages: pa.Array | None = None) -> npt.NDArray[np.float64]:
        """`count` per word of the text; NaN without words."""
        counts = self.count(texts, languages)
        words = np.array([len(hashes) for hashes in word_hashes(text_array(texts))], np.float64)
        return np.asarray(np.divide(counts, words, out=np.full(len(counts), np.nan), where=words > 0))


def list_files(folder: Path) -> list[Path]:
    """The lists in a directory, in order. UserError if there are none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such file or directory of word lists")
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.is_file() and file.suffix in ("", ".txt") and file.stem.lower() not in _NO_LISTS and file.name[0] != "."
    ]
    if not files:
        raise UserError(f"{folder}: has no word lists; name each by its language: en, or en.txt")
    return files


def language_of(file: Path) -> str:
    """The language of a list: the beginning of its name."""
    return file.stem.partition("-")[0].partition("_")[0].lower()


def _read(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as a word list ({error})") from None
    entries = [line for line in lines if line.strip()]
    if not entries or not any(len(words) for words in word_hashes(pa.array(entries, pa.large_string()))):
        raise UserError(f"{file}: a word list without words")
    return entries


def _compile(entries: Sequence[str]) -> _List:
    phrases = [words for words in word_hashes(pa.array(entries, pa.large_string())) if len(words)]
    keys = np.zeros(table_size.py_func(len(phrases)), np.uint64)
    for words in phrases:
        _insert(keys, words)
    return _List(keys, max(map(len, phrases)))


@inner
def _phrase(value: Any, word: Any) -> Any:
    """The hash of a phrase with one more word."""
    return value * uint64(_GOLDEN) + word


@kernel
def _insert(keys: Any, words: Any) -> None:
    """Add a phrase to the table of phrases."""
    value = uint64(words.size)
    for word in words:
        value = _phrase(value, word)
    key = max(fmix64(value), uint64(1))
    keys[find_slot(keys, keys.size - 1, key)] = key


@kernel
def _count(words: Any, keys: Any, longest: Any) -> Any:
    """The number of entries: at each word the longest entry that begins there, then on after it."""
    count = i = 0
    while i < words.size:
        step = 0
        for length in range(min(longest, words.size - i), 0, -1):
            value = uint64(length)
            for k in range(length):
                value = _phrase(value, words[i + k])
            key = max(fmix64(value), uint64(1))
            if keys[find_slot(keys, keys.size - 1, key)] == key:
                step = length
                break
        count += step > 0
        i += max(step, 1)
    return count
