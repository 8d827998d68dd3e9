"""The date on which a page says it was published, by its own statements alone: no guess from the text or the URL.

Looked for in this order: meta elements (Open Graph's article:published_time, schema.org, Dublin Core, and names that
publishing systems use), schema.org's datePublished in JSON-LD, HTML's <time> where it is marked as the publication's.
Bytes are searched, no tree is built: 0.15 ms a page, where htmldate, which guesses too, takes 5.6 ms. Of 2,521 sample
pages a quarter states a date; where htmldate finds one as well, they agree on 93 %, and half the others are a day apart,
as htmldate moves dates into another time zone (tests/benchmarks/published.py).
"""

import re
from datetime import date

_HEAD = 1 << 17
"""Bytes searched for meta elements; some pages have theirs far behind scripts and styles, or in the body."""
_TAGS = 200
"""Elements looked at of a kind; real pages have fewer."""
_META = re.compile(rb"<[mM][eE][tT][aA]\s[^<>]{1,1000}>")  # a third of the time that ignoring case takes
_TIME = re.compile(rb"<[tT][iI][mM][eE]\s[^<>]{1,1000}>")
_NAME = re.compile(
    rb"\b(?:property|name|itemprop)\s*=\s*[\"']?\s*(?:article:published_time|og:published_time|datepublished|date|pubdate"
    rb"|publishdate|publish-date|publish_date|publication_date|article\.published|date-published|datecreated"
    rb"|dc\.date|dc\.date\.issued|dc\.date\.created|dcterms\.date|dcterms\.issued|dcterms\.created|citation_date"
    rb"|citation_publication_date|parsely-pub-date|sailthru\.date|cxenseparse:recs:publishtime)\s*(?:[\"'\s/>])",
    re.I,
)
_CONTENT = re.compile(rb"\bcontent\s*=\s*[\"']?\s*([^\"'<>]{8,40})", re.I)
_JSON = b'"datePublished"'
_JSON_VALUE = re.compile(rb"\s{0,20}:\s{0,20}\"([^\"]{8,40})\"")
_PUBLISHED_TIME = re.compile(rb"\bpubdate\b|datepublished|\bpublished\b|entry-date|post-date|publish-date", re.I)
_DATETIME = re.compile(rb"\bdatetime\s*=\s*[\"']?\s*([^\"'<>]{8,40})", re.I)
_DATE = re.compile(rb"((?:19|20)\d\d)([-/.]?)(\d\d)\2(\d\d)(?!\d)")  # 2026-02-01T…, 2026/02/01, 20260201
FIRST = date(1990, 1, 1)
"""Before it there was no web; what is dated so is no page's publication."""


def published(utf8: bytes) -> str | None:
    """The date as YYYY-MM-DD, as the page's own clock had it; None where the page states none. Linear in its size."""
    for tag in _some(_META, utf8, _HEAD):
        if _NAME.search(tag) and (stated := _read(_CONTENT.search(tag))):
            return stated
    at = -1
    for _ in range(_TAGS):
        at = utf8.find(_JSON, at + 1)
        if at < 0:
            break
        if stated := _read(_JSON_VALUE.match(utf8, at + len(_JSON))):
            return stated
    for tag in _some(_TIME, utf8, len(utf8)) if b"datetime" in utf8 else ():
        if _PUBLISHED_TIME.search(tag) and (stated := _read(_DATETIME.search(tag))):
            return stated
    return None


def _some(tags: re.Pattern[bytes], utf8: bytes, end: int) -> list[bytes]:
    """The first elements of a kind."""
    found = []
    for tag in tags.finditer(utf8, 0, end):
        found.append(tag[0])
        if len(found) == _TAGS:
            break
    return found


def _read(found: re.Match[bytes] | None) -> str | None:
    parts = found and _DATE.match(found[1].strip())
    if not parts:
        return None
    try:
        day = date(int(parts[1]), int(parts[3]), int(parts[4]))
    except ValueError:
        return None
    return day.isoformat() if day >= FIRST else None
