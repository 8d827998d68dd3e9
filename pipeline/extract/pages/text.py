"""What extraction makes of a page: its text and title, or the reason why there is none."""

import html as entities
from dataclasses import dataclass

from pipeline.extract.options import TextSource
from pipeline.extract.pages.charset import clean


@dataclass(frozen=True, slots=True)
class Page:
    """Text and title of a page; or `problem`, one of "too_deep", "too_large", "extractor_failed", "empty_text"."""

    text: str | None
    title: str | None = None
    problem: str | None = None
    detail: str | None = None
    text_from: tuple[TextSource, ...] = ()
    """Where the text is from, in its order; empty without text."""


def without_text(title: str | None) -> Page:
    """The Page for a page in which the extractor found no text."""
    return Page(None, title, "empty_text", "the extractor found no text")


def one_line(title: str) -> str | None:
    """A title from a page's markup, entities decoded, on one line of at most 1,000 characters; None if it is empty."""
    return " ".join(clean(entities.unescape(title)).split())[:1000] or None
