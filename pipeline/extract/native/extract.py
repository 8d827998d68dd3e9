"""The extractor: a page to its text, with the model in the package or another."""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native import MODEL_FILE, trees
from pipeline.extract.native.assemble import assemble, captions, comments
from pipeline.extract.native.blocks import parse
from pipeline.extract.native.delimiters import in_dollars
from pipeline.extract.native.features import describe
from pipeline.extract.native.heading import heading, starts_with
from pipeline.extract.native.inside import blocks_inside
from pipeline.extract.native.marks import NONE, find_marks
from pipeline.extract.native.names import TAG
from pipeline.extract.native.parsed import OK, TOO_DEEP, Parsed
from pipeline.extract.native.shown import as_shown
from pipeline.extract.native.unseen import EVERYTHING, MAIN, without_unseen
from pipeline.extract.native.whole import together, with_code
from pipeline.extract.native.words import CHARS, IDEOGRAPHS, WORDS
from pipeline.extract.options import TextOptions, TextSource
from pipeline.extract.pages.charset import clean
from pipeline.extract.pages.entries import without_repeated
from pipeline.extract.pages.from_scripts import BARE, FEWEST, MOST_LETTERS, from_scripts
from pipeline.extract.pages.text import Page, one_line, without_text

_NOSCRIPT = TAG["noscript"]


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
    shown, parsed = read(html, options.max_depth, max_tags, markdown)
    unscripted = "noscript" in options.text_from and (
        options.main_content or "page" not in options.text_from or _mostly_noscript(parsed)
    )
    parsed = without_unseen(parsed, MAIN if options.main_content else EVERYTHING, not unscripted)
    first, last = parsed.title
    title = one_line(shown[first:last].decode())
    if parsed.status == TOO_DEEP:
        return Page(None, title, "too_deep", f"elements nest deeper than max_depth, {options.max_depth:,}")
    if parsed.status != OK:
        return Page(None, title, "too_large", f"more than {max_tags:,} elements or blocks of text")
    keep = np.ones(len(parsed.home), np.bool_)
    if len(keep) and options.main_content:
        keep = choose(parsed, shown[first:last], model or shipped_model(), options.whole)
        if options.comments:
            keep |= comments(parsed)
    if options.captions is not None:
        keep = captions(parsed, keep, options.captions)
    if "page" not in options.text_from:
        keep &= blocks_inside(parsed, parsed.tag == _NOSCRIPT)
    marks = find_marks(parsed, shown, options.links, url) if markdown and len(keep) else NONE
    over, own = heading(parsed, title) if options.title else ("", None)
    if own is not None:
        keep &= ~own
    text = assemble(parsed, keep, markdown, options.tables, marks).tobytes().decode()
    if markdown:
        text = in_dollars(text, html)
    sources = _sources_of(parsed, keep) if text else []
    if len(text) < MOST_LETTERS and (added := _added(html, parsed, keep, options)):
        markup, source = added
        plain = replace(options, main_content=False, text_from=("page",), title=False, captions=None, tables=True)
        if more := extract(clean(markup).encode(), plain, max_tags=max_tags, url=url).text:
            gap = "\n\n" if markdown else "\n"
            # What is shown instead of a script's text is "Please enable JavaScript".
            notice = sources == ["noscript"] and _words(parsed, keep) < BARE
            own_text = "" if notice else without_repeated(text, more, gap)
            text = gap.join(part for part in (own_text, more) if part)
            sources = [*(sources if own_text else ()), source]
    if over and text and not starts_with(text, over):
        text = f"# {over}\n\n{text}" if markdown else f"{over}\n{text}"
    return Page(text, title, text_from=tuple(sources)) if text else without_text(title)


def _added(html: bytes, page: Parsed, keep: NDArray[np.bool_], options: TextOptions) -> tuple[str, TextSource] | None:
    """What `from_scripts` adds to the kept blocks."""
    every = np.ones_like(keep)

    def shown() -> str:
        return assemble(page, every, False, True, NONE).tobytes().decode()

    return from_scripts(html, options.text_from, _words(page, keep), lambda: _words(page, every), shown)


def _mostly_noscript(page: Parsed) -> bool:
    """Whether most of a page's words are for browsers without scripts."""
    inside = blocks_inside(page, page.tag == _NOSCRIPT)
    return _words(page, inside) > max(_words(page, ~inside), FEWEST - 1)


def _words(page: Parsed, blocks: NDArray[np.bool_]) -> int:
    """The words and ideographs of these blocks."""
    return int(blocks @ page.stats[:, WORDS] + blocks @ page.stats[:, IDEOGRAPHS])


def _sources_of(page: Parsed, keep: NDArray[np.bool_]) -> list[TextSource]:
    """Whether the kept blocks are shown to all, or for browsers without scripts, in their order."""
    noscript = page.tag == _NOSCRIPT
    if not np.count_nonzero(noscript):  # faster than any()
        return ["page"]
    inside = blocks_inside(page, noscript)[keep]
    if not inside.any():
        return ["page"]
    return list(dict.fromkeys("noscript" if block else "page" for block in inside))


def read(html: bytes, max_depth: int, max_tags: int, markdown: bool) -> tuple[bytes, Parsed]:
    """The page as it was parsed, and what the parser made of it; marks for Markdown only."""
    parsed = parse(np.frombuffer(html, np.uint8), max_depth, max_tags, markdown)
    if parsed.special and parsed.status == OK:
        shown = as_shown(html, markdown)
        if shown != html:
            html, parsed = shown, parse(np.frombuffer(shown, np.uint8), max_depth, max_tags, markdown)
    return html, parsed


def choose(page: Parsed, title: bytes, model: trees.Model, whole: bool) -> NDArray[np.bool_]:
    """Which blocks are the page's main content (bool, one per block), with `whole` all or none of a list or table, and
    the code between kept text."""
    table, around = describe(page, title)
    alone = trees.score(table, model.alone, True)
    sizes = np.ascontiguousarray(page.stats[:, CHARS])
    trees.context(alone, sizes, around, table)
    probabilities = trees.score(table, model.together, True)
    if whole:
        probabilities = together(page, probabilities)
    keep: NDArray[np.bool_] = probabilities >= trees.cut(probabilities, model.threshold)
    return with_code(page, keep) if whole else keep


def warm_up() -> None:
    """Compile all kernels, or load them from the cache."""
    for main_content in (True, False):
        extract(b"<p>A word.", TextOptions(main_content=main_content, comments=True), max_tags=100)
