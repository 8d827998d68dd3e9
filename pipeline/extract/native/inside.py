"""Which blocks are inside elements of some kind."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.compiled import kernel
from pipeline.extract.native.parsed import Parsed


def blocks_inside(page: Parsed, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which blocks (bool, one per block) have a marked element (bool, one per element) around them."""
    inside = marked.copy()
    _inside(page.parent, inside)
    found: NDArray[np.bool_] = inside[page.home]
    return found


@kernel
def _inside(parent: Any, inside: Any) -> None:
    """Mark the elements below marked ones."""
    for e in range(1, len(parent)):
        inside[e] |= inside[parent[e]]
