"""Which document of a group of copies is the best: an order, made of one preference after another.

A preference is written as people say it:

    longest, shortest      by the bytes of the text
    earliest, latest       by the date of the capture
    highest X, lowest X    by a signal (`highest words`) or the language score
    url PATTERN            a URL that matches comes before one that does not (`url *.edu/*`)
    file PATTERN           so for the archive the document lies in (`file */curated/*`)
    first                  by the place in the input

Where the first preference finds two documents equal the second one decides, and so on; ties go to the smaller id in byte
order, then to the smaller index. A document without the value comes after those that have one. `none` stands alone:
no document of a cluster is kept.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError, did_you_mean

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
    """Order by a column, the largest value first if `descending`; or those whose value matches a glob pattern first."""

    column: str
    descending: bool = False
    pattern: str | None = None


def parse_keep(wanted: Sequence[str], signals: Iterable[str]) -> tuple[Preference, ...]:
    """The preferences that the words stand for, none for `none`. Raises UserError for a word or signal not known."""
    if NONE in wanted:
        if len(wanted) > 1:
            raise UserError(f"{NONE} keeps no document of a cluster, so that nothing can stand beside it")
        return ()
    if not wanted:
        raise UserError(f"say which document to keep; known: {_KNOWN}")
    return tuple(_parse(text, signals) for text in wanted)


def _parse(text: str, signals: Iterable[str]) -> Preference:
    if text in _WORDS:
        column, descending = _WORDS[text]
        return Preference(column=column, descending=descending)
    word, _, rest = text.partition(" ")
    rest = rest.strip()
    if word in ("highest", "lowest") and rest:
        known = [*signals, "language_score"]
        if rest not in known:
            raise UserError(f"{text!r}: unknown signal {rest}{did_you_mean(rest, known)}; known: {', '.join(known)}")
        return Preference(column=rest, descending=word == "highest")
    if word in ("url", "file") and rest:
        return Preference(column=word, pattern=rest)
    near = did_you_mean(word, (*_WORDS, "highest", "lowest", "url", "file", NONE))
    raise UserError(f"unknown policy {text!r}{near} for the kept duplicate; known: {_KNOWN}")


def best_first(
    members: npt.NDArray[np.int64],
    preferences: Sequence[Preference],
    column: Callable[[str], Any],
    ids: Any = None,
) -> npt.NDArray[np.int64]:
    """The documents (m,) of ascending index in the order of the preferences; `column(name)` gives their values (m,)."""
    keys: list[npt.NDArray[Any]] = []
    for preference in preferences:
        if preference.column == INDEX:
            break  # no two have the same
        keys.append(_rank(column(preference.column), preference))
    else:
        if ids is not None:
            keys.append(_rank(ids, Preference(column="id")))
    return members[np.lexsort([members, *reversed(keys)])]


def _rank(values: Any, preference: Preference) -> npt.NDArray[np.uint64]:
    """The places of values in their order; equal values share a place, and no value is last."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if preference.pattern is not None:
        matches = pc.match_substring_regex(array.cast(pa.large_string()), to_regex(preference.pattern))
        return np.asarray(pc.invert(pc.fill_null(matches, False)).to_numpy(zero_copy_only=False), np.uint64)
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    ranks = pc.rank(array, "descending" if preference.descending else "ascending", tiebreaker="dense")
    return np.asarray(ranks.to_numpy(zero_copy_only=False), np.uint64)


def to_regex(pattern: str) -> str:
    """A glob pattern over a whole value as the regular expression that Arrow understands."""
    return translate(pattern).replace("(?s:", "^(?s:").replace(r"\Z", "$").replace(r"\z", "$").replace("(?>", "(?:")
