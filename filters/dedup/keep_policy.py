"""Which document of a group of copies to keep: an order by a list of preferences.

Preferences:

    longest, shortest      by the bytes of the text
    earliest, latest       by the date of the capture
    highest X, lowest X    by a signal (`highest words`) or the language score
    url PATTERN            documents with a matching URL first (`url *.edu/*`)
    file PATTERN           documents from a matching input file first (`file */curated/*`)
    first                  by the order of the input

If two documents tie by the first preference, the second decides, and so on; remaining ties go to the smaller id in byte
order, then to the smaller index. A document without a value comes after those that have one. `none` is used alone: no
document of a cluster is kept.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError, did_you_mean, known_names
from pipeline.filters.rules import SIGNALS_PAGE

NONE = "none"
INDEX = "index"
_WORDS = {
    "longest": ("text_bytes", True),
    "shortest": ("text_bytes", False),
    "earliest": ("date", False),
    "latest": ("date", True),
    "first": (INDEX, False),
}
_KNOWN = f"{', '.join(_WORDS)}, highest SIGNAL, lowest SIGNAL, url PATTERN, file PATTERN, {NONE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Order by a column, the largest value first if `descending`; or values that match a glob pattern first."""

    column: str
    descending: bool = False
    pattern: str | None = None


def parse_keep(policies: Sequence[str], signals: Iterable[str]) -> tuple[Preference, ...]:
    """Parse preferences; `none` gives an empty tuple. Raises UserError for an unknown word or signal."""
    if NONE in policies:
        if len(policies) > 1:
            raise UserError(f"{NONE} keeps no document of a cluster, so it must be the only preference")
        return ()
    if not policies:
        raise UserError(f"say which document to keep; known: {_KNOWN}")
    return tuple(_parse(text, signals) for text in policies)


def _parse(text: str, signals: Iterable[str]) -> Preference:
    if text in _WORDS:
        column, descending = _WORDS[text]
        return Preference(column=column, descending=descending)
    word, _, argument = text.partition(" ")
    argument = argument.strip()
    if word in ("highest", "lowest") and argument:
        known = [*signals, "language_score"]
        if argument not in known:
            raise UserError(f"{text!r}: unknown signal {argument}{known_names(argument, known, SIGNALS_PAGE)}")
        return Preference(column=argument, descending=word == "highest")
    if word in ("url", "file") and argument:
        return Preference(column=word, pattern=argument)
    near = did_you_mean(word, (*_WORDS, "highest", "lowest", "url", "file", NONE))
    raise UserError(f"unknown policy {text!r}{near} for the kept duplicate; known: {_KNOWN}")


def best_first(
    members: npt.NDArray[np.int64],
    preferences: Sequence[Preference],
    column: Callable[[str], Any],
    ids: Any = None,
) -> npt.NDArray[np.int64]:
    """Sort documents (m,), given by ascending index, by the preferences. `column(name)` returns their values (m,)."""
    keys: list[npt.NDArray[Any]] = []
    for preference in preferences:
        if preference.column == INDEX:
            break  # indices are unique
        keys.append(_rank(column(preference.column), preference))
    else:
        if ids is not None:
            keys.append(_rank(ids, Preference(column="id")))
    return members[np.lexsort([members, *reversed(keys)])]


def _rank(values: Any, preference: Preference) -> npt.NDArray[np.uint64]:
    """The rank of each value; equal values share a rank, and nulls come last."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if preference.pattern is not None:
        matches = pc.match_substring_regex(array.cast(pa.large_string()), to_regex(preference.pattern))
        return np.asarray(pc.invert(pc.fill_null(matches, False)).to_numpy(zero_copy_only=False), np.uint64)
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    ranks = pc.rank(array, "descending" if preference.descending else "ascending", tiebreaker="dense")
    return np.asarray(ranks.to_numpy(zero_copy_only=False), np.uint64)


def to_regex(pattern: str) -> str:
    """A glob pattern for a whole value, as a regular expression for Arrow."""
    return translate(pattern).replace("(?s:", "^(?s:").replace(r"\Z", "$").replace(r"\z", "$").replace("(?>", "(?:")
