"""Edits of lines: what C4 and RefinedWeb remove from a page before or after judging it.

C4 (Raffel et al. 2020, section 2.2, and the code that made it, tensorflow_datasets' c4_utils.py) removes lines without a
terminal mark, with few words, with a very long word, with "javascript" or a policy notice; and Wikipedia's "[1]" and "[edit]".
RefinedWeb (Penedo et al. 2023, appendix G.2; DCLM's configuration of it has the numbers) removes lines mainly in upper case,
of digits alone, counters ("3 likes") and single words; and "sign-in", "read more..." and "items in cart" from short lines.

A line ends at a line break of any kind; lines are joined again with line feeds. Blank lines at either end of the text are
removed. A *word* is a run of characters between white space; in shares of words, only words that begin with a letter or
digit count (as in DCLM). A line that breaks several rules is counted under the first of REASONS.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arguments import one_text
from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.kernels.arrays import Texts, packed
from pipeline.filters.kernels.edit_lines import BLANK, KEPT, RULES, Checks, Outcome, edit, mark_unchanged
from pipeline.filters.kernels.unicode import character_classes
from pipeline.filters.options import LineRules

REASONS = RULES
"""Why a line is removed, in the order the rules are checked; "citations" and "boilerplate" also count cuts within a line."""

MEASURES = ("removed_line_ratio", "removed_word_ratio")
"""Measures of the edit itself, beside the signals of the edited text: the removed shares of non-blank lines and of words."""

_COUNTED = (
    *("likes", "shares", "comments", "retweets", "reposts", "quotes"),
    *("bookmarks", "upvotes", "downvotes", "downloads", "views", "followers"),
)


@dataclass(frozen=True, slots=True)
class Edited:
    """The outcome of an edit: arrays with one entry per document."""

    texts: pa.Array
    """The edited text; null if the edit changes nothing, and for a null document."""
    lines: dict[str, npt.NDArray[np.int32]]
    """Lines removed by each rule that is on."""
    words: dict[str, npt.NDArray[np.int32]]
    """Words removed by each rule that is on."""
    measures: dict[str, FloatArray]
    """MEASURES; NaN without lines or words."""


def edit_lines(array: Texts, rules: LineRules) -> Edited:
    """Apply line rules to documents, a string or large_string array. Memory: a copy of the texts' bytes."""
    batch = Batch.from_arrow(array)
    n = len(batch)
    buffer, offsets, lines, words, totals, _ = _run(batch, rules, np.zeros((0, 3), np.int64))
    same = np.zeros(n, np.bool_)
    mark_unchanged(batch.data, batch.starts, batch.ends, buffer, offsets, same)
    large = pa.types.is_large_string(batch.array.type)
    stored = offsets.astype(np.int64 if large else np.int32)
    texts = pa.Array.from_buffers(
        batch.array.type, n, [None, pa.py_buffer(stored), pa.py_buffer(buffer[: offsets[-1]].copy())]
    )
    unchanged = pa.array(same | np.asarray(batch.array.is_null()))
    texts = pc.if_else(unchanged, pa.scalar(None, texts.type), texts)
    measures = {
        "removed_line_ratio": ratio(lines.sum(axis=1) - lines[:, BLANK], totals[:, 0]),
        "removed_word_ratio": ratio(words.sum(axis=1), totals[:, 1]),
    }
    columns = {name: REASONS.index(name) for name in rules.reasons}
    return Edited(
        texts,
        {name: lines[:, k].copy() for name, k in columns.items()},
        {name: words[:, k].copy() for name, k in columns.items()},
        measures,
    )


def removed_lines(text: str, rules: LineRules) -> Iterator[tuple[str, str]]:
    """(rule, original line) for every line of a text that an edit removes or changes, except blank lines."""
    batch = Batch.from_arrow([one_text(text)])
    log = np.full((int(batch.ends[0] - batch.starts[0]) + 1, 3), KEPT, np.int64)
    _run(batch, rules, log)
    data = bytes(batch.data)
    for start, end, reason in log.tolist():
        if start < 0:
            break
        if reason not in (KEPT, BLANK):
            yield REASONS[reason], data[start:end].decode("utf-8", "replace")


def _run(batch: Batch, rules: LineRules, log: npt.NDArray[np.int64]) -> Outcome:
    n = len(batch)
    checks = Checks(
        citations=rules.citations,
        blank_lines=rules.blank_lines,
        max_word_characters=rules.max_word_characters or np.iinfo(np.int64).max,
        end_marks=np.array([ord(mark) for mark in rules.end_marks], np.int64),
        min_line_words=rules.min_line_words or 0,
        phrases=packed([phrase.lower().encode() for phrase in rules.phrases]),
        max_uppercase_ratio=np.inf if rules.max_uppercase_ratio is None else float(rules.max_uppercase_ratio),
        numeric_lines=rules.numeric_lines,
        counter_lines=rules.counter_lines,
        counted=packed([word.encode() for word in _COUNTED]),
        boilerplate=rules.boilerplate,
    )
    outcome = Outcome(
        buffer=np.empty(int((batch.ends - batch.starts).sum()) + 1, np.uint8),
        offsets=np.zeros(n + 1, np.int64),
        lines=np.zeros((n, len(REASONS)), np.int32),
        words=np.zeros((n, len(REASONS)), np.int32),
        totals=np.zeros((n, 2), np.int64),
        log=log,
    )
    edit(batch.data, batch.starts, batch.ends, character_classes(), checks, outcome)
    return outcome


def warm_up() -> None:
    """Compile every kernel, or load it from Numba's cache, so that workers started afterwards need not compile."""
    edit_lines(pa.array(["Warm up."]), LineRules(end_marks=(".",), phrases=("x",)))
