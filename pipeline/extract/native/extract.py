"""The extractor: a page to its text, with the model in the package or another."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native import MODEL_FILE, trees
from pipeline.extract.native.assemble import assemble, captions, comments
from pipeline.extract.native.blocks import parse
from pipeline.extract.native.features import describe
from pipeline.extract.native.marks import NONE, find_marks
from pipeline.extract.native.parsed import OK, TOO_DEEP, Parsed
from pipeline.extract.native.shown import as_shown
from pipeline.extract.native.unseen import EVERYTHING, MAIN, without_unseen
from pipeline.extract.native.whole import together
from pipeline.extract.native.words import CHARS
from pipeline.extract.options import TextOptions
from pipeline.extract.pages.text import Page, one_line, without_text


@cache
def shipped_model() -> trees.Model:
    """The model in the package."""
    return trees.load(MODEL_FILE)


def extract(
    html: bytes, options: TextOptions, *, max_tags: int, url: str | None = None, model: trees.Model | None = None
) -> Page:
    """Text and title of a page in UTF-8 without NUL, as `charset.decode` returns it, or the reason why it has no text. `url`
    is the page's own, for links in Markdown."""
    markdown = options.format == "markdown"
    html, parsed = read(html, options.max_depth, max_tags, markdown)
    parsed = without_unseen(parsed, MAIN if options.main_content else EVERYTHING, not options.main_content)
    first, last = parsed.title
    title = one_line(html[first:last].decode())
    if parsed.status == TOO_DEEP:
        return Page(None, title, "too_deep", f"elements nest deeper than max_depth, {options.max_depth:,}")
    if parsed.status != OK:
        return Page(None, title, "too_large", f"more than {max_tags:,} elements or blocks of text")
    if not len(parsed.home):
        return without_text(title)
    keep = (
        choose(parsed, model or shipped_model(), options.whole)
        if options.main_content
        else np.ones(len(parsed.home), np.bool_)
    )
    if options.main_content and options.comments:
        keep |= comments(parsed)
    if options.captions is not None:
        keep = captions(parsed, keep, options.captions)
    marks = find_marks(parsed, html, options.links, url) if markdown else NONE
    text = assemble(parsed, keep, markdown, options.tables, marks).tobytes().decode()
    return Page(text, title) if text else without_text(title)


def read(html: bytes, max_depth: int, max_tags: int, markdown: bool) -> tuple[bytes, Parsed]:
    """The page as it was parsed, and what the parser made of it; marks for Markdown only."""
    parsed = parse(np.frombuffer(html, np.uint8), max_depth, max_tags, markdown)
    if parsed.special and parsed.status == OK:
        shown = as_shown(html, markdown)
        if shown != html:
            html, parsed = shown, parse(np.frombuffer(shown, np.uint8), max_depth, max_tags, markdown)
    return html, parsed


def choose(page: Parsed, model: trees.Model, whole: bool) -> NDArray[np.bool_]:
    """Which blocks are the page's main content (bool, one per block), with `whole` all or none of a list or table."""
    table, around = describe(page)
    alone = trees.score(table, model.alone, True)
    sizes = np.ascontiguousarray(page.stats[:, CHARS])
    trees.context(alone, sizes, around, table)
    probabilities = trees.score(table, model.together, True)
    if whole:
        probabilities = together(page, probabilities)
    keep: NDArray[np.bool_] = probabilities >= trees.cut(probabilities, model.threshold)
    return keep


def warm_up() -> None:
    """Compile all kernels, or load them from the cache."""
    for main_content in (True, False):
        extract(b"<p>A word.", TextOptions(main_content=main_content, comments=True), max_tags=100)
