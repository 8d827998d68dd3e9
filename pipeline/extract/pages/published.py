"""The date on which a page says it was published: its own, not that of a review, a comment or another article on it. Nothing
is guessed from the text or the URL.

Sources, in this order: meta elements (Open Graph's article:published_time, Dublin Core, and names that publishing systems
use); schema.org's datePublished in JSON-LD; the same in microdata; and HTML's <time> if it is marked as the date of
publication. Where several things on a page have different dates, the one with the page's address or its only h1 counts; there
is no date if that is not to be told. One pass finds the places to look at, of which most pages have few.
"""

import re

import numpy as np

from pipeline.extract.pages.date_places import ITEM, JSON, META, MOST, TIME, find_places
from pipeline.extract.pages.dated import Address, address_of, day_of, own_day
from pipeline.extract.pages.element_dates import attributes, item_dates, time_dates
from pipeline.extract.pages.json_dates import json_dates

_NAMES = {
    "article:published_time", "og:published_time", "datepublished", "date", "pubdate", "publishdate", "publish-date",
    "publish_date", "publication_date", "article.published", "date-published", "datecreated", "dc.date",
    "dc.date.issued", "dc.date.created", "dcterms.date", "dcterms.issued", "dcterms.created", "citation_date",
    "citation_publication_date", "parsely-pub-date", "sailthru.date", "cxenseparse:recs:publishtime",
}  # fmt: skip
_HEAD = 1 << 17  # bytes in which a page may name its canonical URL
_CANONICAL = re.compile(rb"<link\s[^<>]{0,1000}?\brel\s*=\s*[\"']?canonical\b[^<>]{0,1000}>", re.I)


def published(utf8: bytes, url: str | None = None) -> str | None:
    """The date as YYYY-MM-DD, in the page's own time zone; None if the page states none. `url` is the page's own. Linear in
    the page's size."""
    places = np.empty((4 * MOST, 3), np.int64)
    count = find_places(np.frombuffer(utf8, np.uint8), places, np.zeros(4, np.int64))
    found: tuple[list[tuple[int, int]], ...] = ([], [], [], [])
    for kind, start, end in places[:count].tolist():
        found[kind].append((start, end))
    for start, end in found[META]:
        tag = utf8[start:end].lower()
        if b"date" not in tag and b"pub" not in tag:  # as all names have
            continue
        of_tag = attributes(tag)
        names = f"{of_tag.get('property', '')} {of_tag.get('name', '')}".lower().split()
        if not _NAMES.isdisjoint(names) and (day := day_of(of_tag.get("content", ""))):
            return day
    scripts = [utf8[start:end] for start, end in found[JSON] if utf8.find(b'"datePublished"', start, end) >= 0]
    if scripts and (day := own_day(json_dates(scripts), lambda: _addresses(utf8, url))):
        return day
    tagged = (place for kind in (META, TIME) for place in found[kind] if b"itemprop" in utf8[slice(*place)])
    items = sorted({*found[ITEM], *tagged})
    if items and (day := own_day(item_dates(utf8, items), lambda: _addresses(utf8, url))):
        return day
    return own_day(time_dates(utf8, found[TIME]), list) if found[TIME] else None


def _addresses(utf8: bytes, url: str | None) -> list[Address]:
    """The page's own addresses: its URL, and the one that it names as canonical."""
    link = _CANONICAL.search(utf8, 0, _HEAD)
    urls = (url, attributes(link[0]).get("href") if link else None)
    return [address for one in urls if one and (address := address_of(one))]
