"""What of a page becomes its text, and how it is written."""

from dataclasses import dataclass
from typing import Literal

Format = Literal["text", "markdown"]
FORMATS: tuple[Format, ...] = ("text", "markdown")

MAX_DEPTH = 500
"""Browsers' own limit on nested elements (512 in Blink and WebKit), rounded. Parsers slow down with its square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """The choices that a page's text depends on."""

    extractor: str = "native"
    """A name in pages.markup.EXTRACTORS."""
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
