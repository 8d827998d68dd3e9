"""Strong, emphasised and linked text while a page is parsed: marks begin and end with their elements, and never cross."""

from typing import Any

import numpy as np

from pipeline.extract.native.compiled import inner
from pipeline.extract.native.names import TAG, TAGS
from pipeline.extract.native.parsed import EMPHASIS, LINK, STRONG

MARK = np.full(len(TAGS), -1, np.int64)
"""Tag -> the kind of mark that its text gets, or -1."""
for _names, _kind in (("b strong", STRONG), ("i em", EMPHASIS), ("a", LINK)):
    MARK[[TAG[name] for name in _names.split()]] = _kind


@inner
def end_mark(marks: Any, state: Any, kind: Any, o: Any) -> None:
    """End the open mark of a kind, if there is one, and drop open marks inside it. `state`: where the open mark of each kind
    begins, or -1 (3 numbers); how many marks there are, and were before this block; start and end of a link's target."""
    begin = state[kind]
    if begin >= 0:
        for other in range(3):
            if state[other] >= (begin if other == kind else begin + 1):
                state[other] = -1
        m = state[3]
        marks[m, 0], marks[m, 1], marks[m, 2], marks[m, 3], marks[m, 4] = begin, o, kind, state[5], state[6]
        state[3] += 1


@inner
def end_all_marks(marks: Any, state: Any, o: Any, begun: Any, end: Any) -> None:
    """End all open marks with their block, the inner ones first; a block without text has no marks."""
    for _ in range(3):
        inner = 0
        for kind in range(1, 3):
            if state[kind] > state[inner]:
                inner = kind
        end_mark(marks, state, inner, o)
    if end == begun:
        state[3] = state[4]
    for m in range(state[4], state[3]):
        marks[m, 1] = min(marks[m, 1], end)
    state[4] = state[3]
