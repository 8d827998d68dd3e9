"""What of a page becomes its text, and how it is written."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import UserError, did_you_mean

Extractor = Literal["native", "trafilatura", "resiliparse"]
EXTRACTORS: tuple[Extractor, ...] = ("native", "trafilatura", "resiliparse")
Format = Literal["text", "markdown"]
FORMATS: tuple[Format, ...] = ("text", "markdown")

MAX_DEPTH = 500
"""Browsers' own limit on nested elements (512 in Blink and WebKit), rounded. Parsers slow down with its square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """The choices that a page's text depends on."""

    extractor: Extractor = "native"
    main_content: bool = True
    """False keeps all that is visible, by resiliparse where trafilatura is named."""
    format: Format = "text"
    comments: bool = False
    """Readers', below the main content."""
    captions: bool | None = None
    """Of figures and tables: kept, left out, or, without a choice, judged like all text."""
    tables: bool = True
    links: bool = False
    """In Markdown, absolute where the page's URL is given or it says so itself."""
    max_depth: int = MAX_DEPTH
    """Nested elements of a page."""


def check_offer(options: TextOptions) -> None:
    """UserError where the extractor does not offer what is asked of it."""
    if options.extractor not in EXTRACTORS:
        near = did_you_mean(options.extractor, EXTRACTORS)
        raise UserError(f"extractor: {options.extractor!r} is not one of {', '.join(EXTRACTORS)}{near}")
    if options.format not in FORMATS:
        near = did_you_mean(options.format, FORMATS)
        raise UserError(f"format: {options.format!r} is not one of {', '.join(FORMATS)}{near}")
    everything = options.extractor == "trafilatura" and not options.main_content
    markdown = options.format == "markdown"
    if (options.extractor == "resiliparse" or everything) and (markdown or not options.tables):
        asked = 'format = "markdown"' if markdown else "tables = false"
        whole = " with main_content = false, which is resiliparse's" if everything else ""
        raise UserError(f'extractor: "{options.extractor}"{whole} has no {asked}; "native" has')
    if options.captions is not None and options.extractor != "native":
        raise UserError(f'captions: "{options.extractor}" has no choice of them; "native" has')
    if options.links and not markdown:
        raise UserError('links: needs format = "markdown"')
