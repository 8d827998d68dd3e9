"""A page's markup to its text, by our own extractor, trafilatura or resiliparse.

NUL, lone surrogates and carriage returns are removed from the extractor's text; it is not normalized further.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from pipeline.arguments import kind_of, not_one, one_text
from pipeline.errors import UserError, did_you_mean
from pipeline.extract.options import FORMATS, TEXT_SOURCES, Format, TextOptions, TextSource
from pipeline.extract.pages.charset import check_encoding, clean, decode
from pipeline.extract.pages.text import Page, one_line, without_text

MAX_TAGS = 200_000
"""The largest of 2,521 real pages has a tenth of this; extraction time grows faster than the number of tags."""

_PROLOG = re.compile(r"^\s*<\?xml[^>]*>")
_TITLE_OR_SVG = re.compile(r"<(title|svg)\b", re.I)
_SVG_END = re.compile(r"</svg\s*>", re.I)
# Elements that stay open until their end tag; those whose end tag may be omitted (p, li, td ...) cannot be counted this way.
_NESTING = re.compile(
    r"<(/?)(?:div|span|font|table|ul|ol|dl|b|i|u|a|em|strong|small|big|center|section|article|aside|nav|blockquote|form"
    r"|fieldset|details|main|header|footer|figure|button|label|pre|code|sub|sup|ins|del|s|tt|svg|g|h[1-6]|object"
    r"|iframe|noscript|select|custom|x-[a-z-]*)\b",
    re.I,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extractor:
    """A way to extract a page's text from its markup. The extractors in EXTRACTORS can be named in configs and calls."""

    name: str
    help: str
    page: Callable[[str | bytes, TextOptions, str | None], Page]
    """Called with the decoded page (or its UTF-8), the options, and the page's URL; returns the Page."""
    offers: frozenset[str] = frozenset()
    """The options that it supports, of "markdown", "tables" (dropping them), "captions", "title" and "text_from"."""
    everything: str | None = None
    """The extractor to use instead with main_content = false; None if it does that itself."""
    libraries: tuple[str, ...] = ()
    """Distributions whose versions affect its output."""
    warm_up: Callable[[], None] | None = None
    """Compiles its kernels, or loads them from the cache."""


def html_to_text(
    html: bytes | str,
    *,
    extractor: str = "native",
    main_content: bool = True,
    encoding: str | None = None,
    format: Format = "text",
    comments: bool = False,
    captions: bool | None = None,
    tables: bool = True,
    links: bool = False,
    whole: bool = True,
    title: bool = False,
    text_from: Sequence[TextSource] = TEXT_SOURCES,
    url: str | None = None,
) -> str:
    """The text of an HTML page; "" if there is none or the page exceeds the limits of tags and depth.

    Bytes are decoded with `encoding` if given (a label as in an HTTP header, unless the bytes contradict it), else with the
    encoding that the page declares or that is detected. `url` is the page's own, for links in Markdown; the other arguments
    are those of TextOptions.

    `html` is markup, never a path or URL: read the file, or fetch the page, first. ValueError for an unknown encoding,
    UserError for an unknown extractor, and for an option that it does not support, such as Markdown with resiliparse.
    """
    if not isinstance(html, str | bytes):
        raise TypeError(f"html must be a string or bytes, not {kind_of(html)}")
    for name, given in (("encoding", encoding), ("url", url)):
        if given is not None:
            one_text(given, name)
    if encoding:
        check_encoding(encoding)
    not_one(text_from, "text_from", "names", '"page"')
    text_from = tuple(text_from)
    for number, source in enumerate(text_from):
        one_text(source, f"text_from[{number}]")
    options = TextOptions(
        extractor=extractor,
        main_content=main_content,
        format=format,
        comments=comments,
        captions=captions,
        tables=tables,
        links=links,
        whole=whole,
        title=title,
        text_from=text_from,
    )
    if isinstance(html, bytes):
        html = decode(html, f"text/html; charset={encoding}" if encoding else None).utf8
    return extract_page(html, options, url).text or ""


def extract_page(html: str | bytes, options: TextOptions, url: str | None = None) -> Page:
    """Text and title of an HTML page, decoded or in UTF-8, or the reason why it has none. Deterministic; uses no network.

    A page with more than 200,000 tags or nested deeper than `max_depth` is not extracted: that could take any length of time,
    and a time limit would make the result depend on the machine.
    """
    check_offer(options)
    extractor = EXTRACTORS[options.extractor]
    if not options.main_content and extractor.everything is not None:
        extractor = EXTRACTORS[extractor.everything]
    return extractor.page(html, options, url)


def extractor_named(name: str) -> Extractor:
    """The extractor of this name; UserError if there is none."""
    if name not in EXTRACTORS:
        raise UserError(f"extractor: {name!r} is not one of {', '.join(EXTRACTORS)}{did_you_mean(name, EXTRACTORS)}")
    return EXTRACTORS[name]


def check_offer(options: TextOptions) -> None:
    """UserError for an unknown extractor, or for an option that it does not support."""
    extractor = extractor_named(options.extractor)
    if options.format not in FORMATS:
        near = did_you_mean(options.format, FORMATS)
        raise UserError(f"format: {options.format!r} is not one of {', '.join(FORMATS)}{near}")
    condition = ""
    offers = extractor.offers
    if extractor.everything is not None and not options.main_content:
        offers = extractor_named(extractor.everything).offers
        condition = f" with main_content = false, done by {extractor.everything},"
    markdown = options.format == "markdown"
    if markdown and "markdown" not in offers:
        raise UserError(f'extractor: "{extractor.name}"{condition} has no format = "markdown"; {_which("markdown")}')
    if not options.tables and "tables" not in offers:
        raise UserError(f'extractor: "{extractor.name}"{condition} has no tables = false; {_which("tables")}')
    if options.captions is not None and "captions" not in offers:
        raise UserError(f'captions: "{extractor.name}" does not have this option; {_which("captions")}')
    if options.title and "title" not in offers:
        raise UserError(f'title: "{extractor.name}" does not have this option; {_which("title")}')
    for source in options.text_from:
        if source not in TEXT_SOURCES:
            near = did_you_mean(source, TEXT_SOURCES)
            raise UserError(f"text_from: {source!r} is not one of {', '.join(TEXT_SOURCES)}{near}")
    if not options.text_from:
        raise UserError(f"text_from: names no source; there are {', '.join(TEXT_SOURCES)}")
    if set(options.text_from) != set(TEXT_SOURCES) and "text_from" not in offers:
        raise UserError(f'text_from: "{extractor.name}" does not have this option; {_which("text_from")}')
    if options.links and not markdown:
        raise UserError('links: needs format = "markdown"')


def _which(choice: str) -> str:
    names = [f'"{extractor.name}"' for extractor in EXTRACTORS.values() if choice in extractor.offers]
    return f"{names[0]} has"


def bounded(
    text: Callable[[str, TextOptions, str | None], str],
) -> Callable[[str | bytes, TextOptions, str | None], Page]:
    """An extractor's `page` from a function that returns only the text: tags and depth are checked before it is called, and an
    exception becomes a reason."""

    def page(html: str | bytes, options: TextOptions, url: str | None) -> Page:
        html = _PROLOG.sub("", clean(html) if isinstance(html, str) else html.decode(), count=1)
        title = page_title(html)
        tags = html.count("<")
        if tags > MAX_TAGS:
            return Page(None, title, "too_large", f"{tags:,} tags; at most {MAX_TAGS:,} are extracted")
        if tags > options.max_depth and (depth := nesting(html)) > options.max_depth:
            return Page(None, title, "too_deep", f"elements nest {depth:,} deep; max_depth is {options.max_depth:,}")
        try:
            raw = text(html, options, url)
        except MemoryError:  # it ends the worker, so that the page is dropped as crashed
            raise
        except Exception as error:  # on pages of the web, third-party code may raise anything
            return Page(None, title, "extractor_failed", f"{type(error).__name__}: {error}"[:500])
        kept = clean(raw).replace("\r\n", "\n").replace("\r", "\n").strip()
        return Page(kept, title, text_from=("page",)) if kept else without_text(title)

    return page


def _native(html: str | bytes, options: TextOptions, url: str | None) -> Page:
    from pipeline.extract.native.extract import extract  # Numba and a second of start-up

    return extract(clean(html).encode() if isinstance(html, str) else html, options, max_tags=MAX_TAGS, url=url)


def page_title(html: str) -> str | None:
    """The page's title on one line, at most 1,000 characters; titles inside an SVG do not count. Linear in the page's size."""
    svg_end: int | None = 0  # of the last SVG; None once an SVG never ends
    for tag in _TITLE_OR_SVG.finditer(html):
        if svg_end is not None and tag.start() < svg_end:
            continue
        if tag[1].lower() == "svg":
            if svg_end is not None:
                end = _SVG_END.search(html, tag.end())
                svg_end = end.end() if end else None
            continue
        start = html.find(">", tag.end()) + 1
        if not start:
            return None
        stop = html.find("<", start, start + 100_000)
        raw = html[start : stop if stop >= 0 else start + 100_000]
        return one_line(raw)
    return None


def nesting(html: str) -> int:
    """Greatest nesting depth of the elements that need an end tag; surplus end tags are ignored."""
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
    """Keep the extractors' log lines, of which many pages cause one, off the user's terminal; done on first use."""
    for name in ("trafilatura", "htmldate", "justext", "courlan"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


def _trafilatura(html: str, options: TextOptions, url: str | None) -> str:
    import trafilatura

    _quiet()
    # favor_precision as in FineWeb (Penedo et al. 2024). On 268 gold pages token F1 is 0.857; without it 0.847, with recall
    # 0.846, fast 0.831. It gains on articles (0.981, else 0.968) and loses on product and list pages (0.791, else 0.848).
    text = trafilatura.extract(
        html,
        url=url if options.links else None,
        output_format="markdown" if options.format == "markdown" else "txt",
        include_comments=options.comments,
        include_tables=options.tables,
        include_links=options.links,
        favor_precision=True,
        deduplicate=False,
    )
    return text or ""


def _resiliparse(html: str, options: TextOptions, url: str | None) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return str(
        extract_plain_text(
            html, main_content=options.main_content, alt_texts=False, links=False, comments=options.comments
        )
    )


def _warm_up_native() -> None:
    from pipeline.extract.native.extract import warm_up

    warm_up()


EXTRACTORS: dict[str, Extractor] = {
    extractor.name: extractor
    for extractor in (
        Extractor(
            name="native",
            help="our own, the fastest: boosted trees over a page's blocks",
            page=_native,
            offers=frozenset({"markdown", "tables", "captions", "title", "text_from"}),
            warm_up=_warm_up_native,
        ),
        Extractor(
            name="trafilatura",
            help="well-tried rules, best on articles",
            page=bounded(_trafilatura),
            offers=frozenset({"markdown", "tables"}),
            everything="resiliparse",  # it keeps every word of a page; trafilatura drops footers and asides
            libraries=("trafilatura", "lxml"),
        ),
        Extractor(
            name="resiliparse",
            help="plain text by simple rules, in C++",
            page=bounded(_resiliparse),
            libraries=("resiliparse",),
        ),
    )
}
"""All extractors by name; the only list of them."""
