"""A page's markup to its text, through our own extractor, trafilatura or resiliparse.

The text is the extractor's own but for NUL, lone surrogates and carriage returns, which are taken out; it is not
normalised further.
"""

import html as entities
import logging
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pipeline.errors import UserError, did_you_mean
from pipeline.extract.charset import clean, decode

Extractor = Literal["native", "trafilatura", "resiliparse"]
EXTRACTORS: tuple[Extractor, ...] = ("native", "trafilatura", "resiliparse")
Format = Literal["text", "markdown"]
FORMATS: tuple[Format, ...] = ("text", "markdown")

MAX_DEPTH = 500
"""Browsers' own limit on nested elements (512 in Blink and WebKit), rounded. Parsers slow down with its square."""
MAX_TAGS = 200_000
"""The largest of 2,521 real pages has a tenth of that; extraction time grows faster than the number of tags."""

_PROLOG = re.compile(r"^\s*<\?xml[^>]*>")
_TITLE_OR_SVG = re.compile(r"<(title|svg)\b", re.I)
_SVG_END = re.compile(r"</svg\s*>", re.I)
# Elements that stay open until their end tag; those whose end tag may be left out (p, li, td ...) cannot be counted so.
_NESTING = re.compile(
    r"<(/?)(?:div|span|font|table|ul|ol|dl|b|i|u|a|em|strong|small|big|center|section|article|aside|nav|blockquote|form"
    r"|fieldset|details|main|header|footer|figure|button|label|pre|code|sub|sup|ins|del|s|tt|svg|g|h[1-6]|object"
    r"|iframe|noscript|select|custom|x-[a-z-]*)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Page:
    """Text and title of a page; or `problem`, one of "too_deep", "too_large", "extractor_failed", "empty_text"."""

    text: str | None
    title: str | None = None
    problem: str | None = None
    detail: str | None = None


def html_to_text(
    html: bytes | str,
    *,
    extractor: Extractor = "native",
    main_content: bool = True,
    encoding: str | None = None,
    format: Format = "text",
    comments: bool = False,
    captions: bool | None = None,
    tables: bool = True,
    links: bool = False,
    url: str | None = None,
) -> str:
    """The text of an HTML page; "" where there is none or the page is beyond what the extractor can take.

    Bytes are decoded by `encoding` if given (a label as in an HTTP header, believed unless the bytes say otherwise), else
    by what the page declares or by detection. `main_content=False` keeps navigation and boilerplate: all that is visible,
    by resiliparse where trafilatura is named. `comments` are readers' below the main content; `captions` of figures and
    tables are kept or left out, or, without a choice, judged like all text. Markdown may have `links`, absolute where the
    page's `url` is given or it says so itself.

    Raises UserError for what an extractor does not offer, as Markdown is with resiliparse.
    """
    if isinstance(html, bytes):
        html = decode(html, f"text/html; charset={encoding}" if encoding else None).utf8
    page = extract_page(
        html,
        extractor=extractor,
        main_content=main_content,
        format=format,
        comments=comments,
        captions=captions,
        tables=tables,
        links=links,
        url=url,
    )
    return page.text or ""


def check_offer(
    extractor: str, main_content: bool, format: str, captions: bool | None, tables: bool, links: bool
) -> None:
    """UserError where the extractor does not offer what is asked of it."""
    if extractor not in EXTRACTORS:
        raise UserError(
            f"extractor: {extractor!r} is not one of {', '.join(EXTRACTORS)}{did_you_mean(extractor, EXTRACTORS)}"
        )
    if format not in FORMATS:
        raise UserError(f"format: {format!r} is not one of {', '.join(FORMATS)}{did_you_mean(format, FORMATS)}")
    by_resiliparse = extractor == "resiliparse" or (extractor == "trafilatura" and not main_content)
    if by_resiliparse and (format == "markdown" or not tables):
        asked = 'format = "markdown"' if format == "markdown" else "tables = false"
        whole = "" if extractor == "resiliparse" else " with main_content = false, which is resiliparse's"
        raise UserError(f'extractor: "{extractor}"{whole} has no {asked}; "native" has')
    if captions is not None and extractor != "native":
        raise UserError(f'captions: "{extractor}" has no choice of them; "native" has')
    if links and format != "markdown":
        raise UserError('links: needs format = "markdown"')


def extract_page(
    html: str | bytes,
    *,
    extractor: Extractor = "native",
    main_content: bool = True,
    max_depth: int = MAX_DEPTH,
    format: Format = "text",
    comments: bool = False,
    captions: bool | None = None,
    tables: bool = True,
    links: bool = False,
    url: str | None = None,
) -> Page:
    """Text and title of an HTML page, decoded or in UTF-8, or the reason why there is none. Same page, same result; no network.

    Pages with more than 200,000 tags or nested beyond `max_depth` are not handed to the extractor at all: the time that
    they take has no bound, and one that ran out of it would make the result depend on the machine.
    """
    check_offer(extractor, main_content, format, captions, tables, links)
    markdown = format == "markdown"
    if extractor == "native":
        utf8 = clean(html).encode() if isinstance(html, str) else html
        return _native(utf8, main_content, max_depth, markdown, comments, captions, tables, links, url)
    html = _PROLOG.sub("", clean(html) if isinstance(html, str) else html.decode(), count=1)
    title = page_title(html)
    tags = html.count("<")
    if tags > MAX_TAGS:
        return Page(None, title, "too_large", f"{tags:,} tags; at most {MAX_TAGS:,} are extracted")
    if tags > max_depth and (depth := nesting(html)) > max_depth:
        return Page(None, title, "too_deep", f"elements nest {depth:,} deep; max_depth is {max_depth:,}")
    try:
        # Every word of a page is no matter of taste: resiliparse gives them, trafilatura leaves footers and asides out.
        if extractor == "trafilatura" and main_content:
            found = _trafilatura(html, markdown, comments, tables, url if links else None, links)
        else:
            found = _resiliparse(html, main_content, comments)
    except Exception as error:  # third-party code meets any page on the web here; what it raises has no common type
        return Page(None, title, "extractor_failed", f"{type(error).__name__}: {error}"[:500])
    text = clean(found).replace("\r\n", "\n").replace("\r", "\n").strip()
    return Page(text, title) if text else Page(None, title, "empty_text", "the extractor found no text")


def _native(
    html: bytes,
    main_content: bool,
    max_depth: int,
    markdown: bool,
    comments: bool,
    captions: bool | None,
    tables: bool,
    links: bool,
    url: str | None,
) -> Page:
    from pipeline.extract.native.extract import extract  # Numba and a second of start-up

    found = extract(
        html,
        main_content=main_content,
        max_depth=max_depth,
        max_tags=MAX_TAGS,
        markdown=markdown,
        with_comments=comments,
        with_captions=captions,
        tables=tables,
        links=links,
        url=url,
    )
    title = _one_line(found.title)
    if found.problem == "too_large":
        return Page(None, title, "too_large", f"more than {MAX_TAGS:,} elements or blocks of text")
    if found.problem == "too_deep":
        return Page(None, title, "too_deep", f"elements nest deeper than max_depth, {max_depth:,}")
    return Page(found.text, title) if found.text else Page(None, title, "empty_text", "the extractor found no text")


def page_title(html: str) -> str | None:
    """The page's title on one line, at most 1,000 characters of it; an SVG's is none. Linear in the page's size."""
    behind: int | None = 0  # the last SVG; None once no further one ends
    for tag in _TITLE_OR_SVG.finditer(html):
        if behind is not None and tag.start() < behind:
            continue
        if tag[1].lower() == "svg":
            if behind is not None:
                end = _SVG_END.search(html, tag.end())
                behind = end.end() if end else None
            continue
        start = html.find(">", tag.end()) + 1
        if not start:
            return None
        stop = html.find("<", start, start + 100_000)
        raw = html[start : stop if stop >= 0 else start + 100_000]
        return _one_line(raw)
    return None


def _one_line(title: str) -> str | None:
    return " ".join(clean(entities.unescape(title)).split())[:1000] or None


def nesting(html: str) -> int:
    """Depth of the elements that need an end tag, from their tags alone: end tags never take it below zero."""
    depth = deepest = 0
    for tag in _NESTING.finditer(html):
        if tag[1]:
            depth = max(depth - 1, 0)
        else:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


@cache
def _quiet() -> None:
    """Keep the extractors' own log lines, one for many a page, out of the user's terminal; done on first use."""
    for name in ("trafilatura", "htmldate", "justext", "courlan"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


def _trafilatura(html: str, markdown: bool, comments: bool, tables: bool, url: str | None, links: bool) -> str:
    import trafilatura

    _quiet()
    # Precision as FineWeb has it (Penedo et al. 2024). On 268 gold pages token F1 is 0.857, without it 0.847, with recall
    # 0.846, fast 0.831; it gains on articles (0.981 against 0.968) and loses on product and list pages (0.791, 0.848).
    found = trafilatura.extract(
        html,
        url=url,
        output_format="markdown" if markdown else "txt",
        include_comments=comments,
        include_tables=tables,
        include_links=links,
        favor_precision=True,
        deduplicate=False,
    )
    return found or ""


def _resiliparse(html: str, main_content: bool, comments: bool) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(html, main_content=main_content, alt_texts=False, links=False, comments=comments))
