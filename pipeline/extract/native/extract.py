"""The extractor: a page to its text, by the model in the package or by another."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native import MODEL_FILE, trees
from pipeline.extract.native.assemble import assemble, captions, comments, visible
from pipeline.extract.native.blocks import OK, TOO_DEEP, Parsed, parse
from pipeline.extract.native.features import describe
from pipeline.extract.native.marks import NONE, find_marks
from pipeline.extract.native.words import CHARS
from pipeline.extract.options import TextOptions


class Found(NamedTuple):
    """What a page gave; the title is as it stands in the page, entities and all."""

    text: str
    title: str
    problem: str | None
    """ "too_deep" or "too_large": the page was not extracted."""


@cache
def shipped_model() -> trees.Model:
    """The model in the package."""
    return trees.load(MODEL_FILE)


def extract(
    html: bytes, options: TextOptions, *, max_tags: int, url: str | None = None, model: trees.Model | None = None
) -> Found:
    """Text of a page in UTF-8 without NUL, as `charset.decode` gives it. `url` is the page's own, for links in Markdown."""
    markdown = options.format == "markdown"
    page = parse(np.frombuffer(html, np.uint8), options.max_depth, max_tags, markdown)
    first, last = page.title
    title = html[first:last].decode()
    if page.status != OK:
        return Found("", title, "too_deep" if page.status == TOO_DEEP else "too_large")
    if not len(page.home):
        return Found("", title, None)
    keep = choose(page, model or shipped_model()) if options.main_content else visible(page)
    if options.main_content and options.comments:
        keep |= comments(page)
    if options.captions is not None:
        keep = captions(page, keep, options.captions)
    marks = find_marks(page, html, options.links, url) if markdown else NONE
    return Found(assemble(page, keep, markdown, options.tables, marks).tobytes().decode(), title, None)


def choose(page: Parsed, model: trees.Model) -> NDArray[np.bool_]:
    """Which blocks are the page's main content."""
    table, around = describe(page)
    alone = trees.score(table, model.alone, True)
    sizes = np.ascontiguousarray(page.stats[:, CHARS])
    trees.context(alone, sizes, around, table)
    found = trees.score(table, model.together, True)
    keep: NDArray[np.bool_] = found >= trees.cut(found, model.threshold)
    return keep


def warm_up() -> None:
    """Compile, or load from the cache, all kernels."""
    for main_content in (True, False):
        extract(b"<p>A word.", TextOptions(main_content=main_content, comments=True), max_tags=100)
