"""Dates of publication in a page's elements: in microdata, and in <time> that is marked as such."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from pipeline.extract.pages.dated import REVIEW, Dated, address_of, day_of, rank_of

Place = tuple[int, int]
"""Where an element's tag starts and ends in the page."""
Extent = tuple[int, int, int]
"""Where an element's tag starts and ends, and where the element ends."""

_ATTRIBUTE = re.compile(rb"(?<![^\s\"'/])([^\s\"'<>/=]{1,40})\s{0,9}=\s{0,9}(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>]+))")
_TEXT = re.compile(rb">\s{0,99}([0-9][^<>]{7,39})")
_PUBLISHED = re.compile(rb"\bpubdate\b|\bpublished\b|entry-date|post-date|publish-date", re.I)
# Only elements whose end tags are not left out.
_PAIRED = rb"article|aside|blockquote|body|div|dl|figure|footer|form|header|html|main|nav|ol|section|span|table|ul"
_SCOPE = re.compile(rb"<(" + _PAIRED + rb"|li|td|tr)\s[^<>]{0,2000}>", re.I)
_BESIDE = re.compile(
    rb"<(" + _PAIRED + rb"|li)\s[^<>]{0,200}?\b(?:class|id)\s*=\s*[\"']?(?:[^\"'<>]{0,200}?\s)?"
    rb"(?:comment|review|related|recent|popular|latest|recommend|teaser|sidebar|widget|respond\b)", re.I
)  # fmt: skip
"""What is beside a page's own article."""
_ARTICLE = re.compile(rb"<(article)(?=[\s>/])", re.I)
_HEADING = re.compile(rb"<h1(?=[\s>/])", re.I)
_OWN = ("", "mainentity", "mainentityofpage", "maincontentofpage", "blogpost", "blogposts")
"""The properties whose values may be the page itself."""
_SOLD = ("product", "offer", "aggregaterating")


def attributes(tag: bytes) -> dict[str, str]:
    """The attributes of a tag that have values; names in lower case. The first of several of a name counts."""
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(tag):
        found.setdefault(name.decode().lower(), b"".join(values).decode().strip())
    return found


def item_dates(utf8: bytes, places: Sequence[Place]) -> list[Dated]:
    """The dates in microdata, with the item that each is of."""
    stated = []
    for start, end in places:
        tag = utf8[start : end + 1]
        of_tag = attributes(tag)
        names = of_tag.get("itemprop", "").lower().split()
        if "datepublished" in names or "datecreated" in names:
            text = _TEXT.match(utf8, end)
            value = of_tag.get("content") or of_tag.get("datetime") or (text[1].decode() if text else "")
            if day := day_of(value):
                stated.append((start, day, "datepublished" in names))
    if any(is_published for _, _, is_published in stated):
        stated = [one for one in stated if one[2]]
    if not stated:
        return []
    until = stated[-1][0]
    scopes = _extents(utf8, _scopes(utf8, until), until)
    about = [attributes(utf8[start:tag_end]) for start, tag_end, _ in scopes]
    kinds = [scope.get("itemtype", "").split() for scope in about]
    is_sold = any(kind.lower().endswith(_SOLD) for scope in kinds for kind in scope)
    found = []
    for (_, day, _), around in zip(stated, _around(scopes, [start for start, _, _ in stated]), strict=True):
        rank = rank_of(kinds[around[-1]]) if around else 0
        is_own = all(about[scope].get("itemprop", "").lower() in _OWN for scope in around)
        if is_own and rank is not None and not (rank == REVIEW and is_sold):
            scope = around[-1] if around else -1
            address = address_of(about[scope].get("itemid", "")) if around else None
            found.append(Dated(day, rank, scopes[scope][0] if around else None, (address,) if address else ()))
    if len({dated.thing for dated in found}) > 1:
        return _of_heading(found, _extents(utf8, _scopes(utf8, until)), _headings(utf8))
    return found


def time_dates(utf8: bytes, places: Sequence[Place]) -> list[Dated]:
    """The dates of <time> elements that are marked as dates of publication, with the article that each is in."""
    stated = []
    for start, end in places:
        tag = utf8[start:end]
        if _PUBLISHED.search(tag) and (day := day_of(attributes(tag).get("datetime", ""))):
            stated.append((start, day))
    if not stated:
        return []
    starts = [start for start, _ in stated]
    headings = _headings(utf8)
    beside = [
        extent
        for extent in _extents(utf8, [*_BESIDE.finditer(utf8, 0, starts[-1])])
        if not any(extent[0] < heading < extent[2] for heading in headings)
    ]
    articles = _extents(utf8, [*_ARTICLE.finditer(utf8, 0, starts[-1])])
    found = []
    for (_, day), others, around in zip(stated, _around(beside, starts), _around(articles, starts), strict=True):
        if not others:
            found.append(Dated(day, 0, articles[around[-1]][0] if around else None))
    return _of_heading(found, articles, headings)


def _of_heading(found: list[Dated], extents: Sequence[Extent], headings: Sequence[int]) -> list[Dated]:
    """The dates of the thing with the page's only h1; all if no thing has it."""
    if len(headings) != 1:
        return found
    holders = {start for start, _, end in extents if start < headings[0] < end}
    return [dated for dated in found if dated.thing in holders] or found


def _headings(utf8: bytes) -> list[int]:
    return [heading.start() for heading in _HEADING.finditer(utf8)]


def _scopes(utf8: bytes, until: int) -> list[re.Match[bytes]]:
    """The tags before a position of the page that begin an item of microdata."""
    found = []
    at = utf8.find(b"itemscope", 0, until)
    while at >= 0:
        tag = _SCOPE.match(utf8, max(utf8.rfind(b"<", max(at - 2000, 0), at), 0))
        if tag and tag.end() > at:
            found.append(tag)
            at = tag.end()
        at = utf8.find(b"itemscope", at + 1, until)
    return found


def _extents(utf8: bytes, openings: Sequence[re.Match[bytes]], until: int | None = None) -> list[Extent]:
    """The elements that these tags begin. One without an end tag, or with one behind `until`, goes to the page's end."""
    tags = [(tag.start(), tag.end(), tag[1].lower()) for tag in openings]
    if not tags:
        return []
    ends = {start: len(utf8) for start, _, _ in tags}
    waiting = len(ends)
    open_tags: list[tuple[int, bytes]] = []
    count = dict.fromkeys((name for _, _, name in tags), 0)
    for tag in _any_tag(frozenset(count)).finditer(utf8, tags[0][0], len(utf8) if until is None else until):
        name = tag[2].lower()
        if not tag[1]:
            open_tags.append((tag.start(), name))
            count[name] += 1
        elif count[name]:
            closed = b""
            while closed != name:
                start, closed = open_tags.pop()
                count[closed] -= 1
                if start in ends:
                    ends[start] = tag.start()
                    waiting -= 1
            if not waiting:
                break
    return [(start, tag_end, ends[start]) for start, tag_end, _ in tags]


@cache
def _any_tag(names: frozenset[bytes]) -> re.Pattern[bytes]:
    return re.compile(rb"<(/?)(" + b"|".join(sorted(names)) + rb")(?=[\s/>])", re.I)


def _around(extents: Sequence[Extent], positions: Sequence[int]) -> Iterator[list[int]]:
    """For each position, in order, the elements around it as indices, the outermost first; at most the innermost 64."""
    around: list[int] = []
    index = 0
    for position in positions:
        while index < len(extents) and extents[index][0] < position:
            while around and extents[around[-1]][2] <= extents[index][0]:
                around.pop()
            around.append(index)
            index += 1
        while around and extents[around[-1]][2] <= position:
            around.pop()
        yield around[-64:]
