"""The extractor: a page to its text, by the model in the package or by another."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native import MODEL_FILE, trees
from pipeline.extract.native.assemble import assemble, visible
from pipeline.extract.native.blocks import TOO_DEEP, Parsed, parse
from pipeline.extract.native.features import describe
from pipeline.extract.native.words import CHARS


class Found(NamedTuple):
    """What a page gave; the title is as it stands in the page, entities and all. `too_deep`: not extracted."""

    text: str
    title: str
    too_deep: bool


@cache
def shipped_model() -> trees.Model:
    """The model in the package."""
    return trees.load(MODEL_FILE)


def extract(html: str, *, main_content: bool, max_depth: int, model: trees.Model | None = None) -> Found:
    """Text of a page without NUL and lone surrogates; all that is visible unless `main_content`."""
    data = html.encode()
    page = parse(np.frombuffer(data, np.uint8), html.count("<"), max_depth)
    first, last = page.title
    title = data[first:last].decode()
    if page.status == TOO_DEEP:
        return Found("", title, True)
    if not len(page.home):
        return Found("", title, False)
    keep = choose(page, model or shipped_model()) if main_content else visible(page)
    return Found(assemble(page, keep).tobytes().decode(), title, False)


def choose(page: Parsed, model: trees.Model) -> NDArray[np.bool_]:
    """Which blocks are the page's main content."""
    table, around = describe(page)
    alone = trees.score(table, model.alone, True)
    sizes = np.ascontiguousarray(page.stats[:, CHARS])
    found = trees.score(trees.context(alone, sizes, around, table), model.together, True)
    keep: NDArray[np.bool_] = found >= trees.cut(found, model.threshold)
    return keep


def warm_up() -> None:
    """Compile, or load from the cache, all kernels."""
    for main_content in (True, False):
        extract("<p>A word.", main_content=main_content, max_depth=500)
