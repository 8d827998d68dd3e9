"""Strong, emphasised and linked text, and inline code, while a page is parsed.

Marks begin and end with their elements, and never cross.
"""

from typing import Any

import numpy as np

from pipeline.extract.native.compiled import inner
from pipeline.extract.native.names import TAG, TAGS
from pipeline.extract.native.parsed import CODE, EMPHASIS, LINK, STRONG

KINDS = 4
COUNT, COUNT_BEFORE, TARGET, TARGET_END = KINDS, KINDS + 1, KINDS + 2, KINDS + 3
"""Places in `state`."""
MARK = np.full(len(TAGS), -1, np.int64)
"""Tag -> the kind of mark that its text gets, or -1."""
for _names, _kind in (("b strong", STRONG), ("i em", EMPHASIS), ("a", LINK), ("code tt samp", CODE)):
    MARK[[TAG[name] for name in _names.split()]] = _kind


@inner
def end_mark(marks: Any, state: Any, kind: Any, o: Any) -> None:
    """End the open mark of a kind, if there is one, and drop open marks inside it. `state`: where the open mark of each kind
    begins, or -1 (KINDS numbers); how many marks there are, and were before this block; start and end of a link's target."""
    begin = state[kind]
    if begin >= 0:
        for other in range(KINDS):
            if state[other] >= (begin if other == kind else begin + 1):
                state[other] = -1
        m = state[COUNT]
        marks[m, 0], marks[m, 1], marks[m, 2] = begin, o, kind
        marks[m, 3], marks[m, 4] = state[TARGET], state[TARGET_END]
        state[COUNT] += 1


@inner
def end_all_marks(marks: Any, state: Any, o: Any, begun: Any, end: Any) -> None:
    """End all open marks with their block, the inner ones first; a block without text has no marks."""
    for _ in range(KINDS):
        inner = 0
        for kind in range(1, KINDS):
            if state[kind] > state[inner]:
                inner = kind
        end_mark(marks, state, inner, o)
    if end == begun:
        state[COUNT] = state[COUNT_BEFORE]
    for m in range(state[COUNT_BEFORE], state[COUNT]):
        marks[m, 1] = min(marks[m, 1], end)
    state[COUNT_BEFORE] = state[COUNT]
