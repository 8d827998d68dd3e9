"""Dates that things on a page have, and which of the things is the page itself."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import unquote

_DATE = re.compile(r"((?:19|20)\d\d)([-/.]?)(\d\d)\2(\d\d)(?!\d)", re.A)  # 2026-02-01T…, 2026/02/01, 20260201
FIRST = date(1990, 1, 1)
"""Earlier dates are ignored: there was no web to publish on."""

_KINDS = {
    **dict.fromkeys(("creativework", "howto", "question", "recipe", "report", "specialannouncement"), 0),
    **dict.fromkeys(("audioobject", "podcastepisode", "videoobject"), 2),
}
_ENDINGS = (("article", 0), ("posting", 0), ("page", 1), ("review", 3))
REVIEW = 3


@dataclass(frozen=True, slots=True)
class Address:
    """What tells pages of a site apart; host and fragment do not."""

    path: str
    query: str

    def is_like(self, other: "Address") -> bool:
        """Whether both may be the same page: a query that only one of them has may be left out."""
        if self.path != other.path:
            return False
        return self.query == other.query or bool(self.path and not (self.query and other.query))


@dataclass(frozen=True, slots=True)
class Dated:
    """A thing with a date of publication: `rank` says how surely a page with such a thing is about it, 0 the surest."""

    day: str
    rank: int = 0
    thing: str | int | None = None
    """What tells it apart from others on the page, such as its name; None if it has nothing of the kind."""
    addresses: tuple[Address, ...] = ()
    is_own: bool = True
    """False for a part of something else, which is not the page itself unless it has the page's address."""


def day_of(value: str) -> str | None:
    """The date that a value begins with, as YYYY-MM-DD in the page's own time zone; None if it is none, or too early."""
    parts = _DATE.match(value.strip())
    if not parts:
        return None
    try:
        day = date(int(parts[1]), int(parts[3]), int(parts[4]))
    except ValueError:
        return None
    return day.isoformat() if day >= FIRST else None


def rank_of(kinds: Collection[str]) -> int | None:
    """The rank of a thing of these types of schema.org; None if their date is not the page's, as a film's and a comment's."""
    if not kinds:
        return 0
    names = (kind.strip().replace("#", "/").replace(":", "/").rpartition("/")[2].lower() for kind in kinds)
    ranks = (_KINDS.get(name, next((rank for end, rank in _ENDINGS if name.endswith(end)), None)) for name in names)
    return min((rank for rank in ranks if rank is not None), default=None)


def address_of(url: str) -> Address | None:
    """The page that a URL means; None for one that is empty, or only a fragment."""
    url = url.strip().partition("#")[0]
    if not url:
        return None
    _, scheme, behind = url.partition("//")
    path, _, query = (behind.partition("/")[2] if scheme else url).partition("?")
    return Address(unquote(path).strip("/").lower(), query)


def own_day(found: Sequence[Dated], here: Callable[[], Sequence[Address]]) -> str | None:
    """The date of the thing that a page is about; None if that is not to be told. `here` returns the page's addresses.

    Of the things with the best rank, those at the page's address count, or all if none is there. They must be one thing, or
    have one date.
    """
    for rank in sorted({dated.rank for dated in found}):
        those = [dated for dated in found if dated.rank == rank]
        if all(dated.is_own for dated in those) and _is_one(those):
            return those[0].day
        addresses = here()
        at_page = [dated for dated in those if any(a.is_like(b) for a in dated.addresses for b in addresses)]
        those = at_page or [dated for dated in those if dated.is_own]
        if those and rank != REVIEW and _is_one(those):
            return those[0].day
    return None


def _is_one(those: Sequence[Dated]) -> bool:
    things = {dated.thing for dated in those if dated.thing is not None}
    return len(things) <= 1 or len({dated.day for dated in those}) == 1
