"""Dates of publication in JSON-LD: of the things that it states a page to be, not of what belongs to them."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline.extract.pages.dated import REVIEW, Dated, address_of, day_of, rank_of

_LONGEST = 1 << 20  # bytes; what is longer is not read, since the parsed value may be many times larger
_OWN = ("@graph", "mainEntity", "mainEntityOfPage")
"""The properties whose values may be the page's own things. Those of others are reviews, comments, parts, neighbours, unless
they have the page's address."""
_LOOSE = re.compile(r"\"datePublished\"\s{0,20}:\s{0,20}\"([^\"]{8,40})\"")
_OTHERS = re.compile(r"\"(?:[A-Za-z]*Review|Comment|Answer|ItemList|review|comment|itemListElement)\"")
_SOLD = ("aggregateRating", "offers")
_DECODER = json.JSONDecoder(strict=False)


def json_dates(scripts: list[bytes]) -> list[Dated]:
    """The dates of a page's things, from the contents of its scripts."""
    nodes: list[tuple[dict[str, Any], bool]] = []
    loose = []
    for script in scripts:
        if len(script) > _LONGEST:
            continue
        text = script.decode()
        try:
            nodes += _nodes(_parsed(text))
        except (ValueError, RecursionError):
            days = {day for value in _LOOSE.findall(text) if (day := day_of(value))}
            if len(days) == 1 and not _OTHERS.search(text):  # what it is of cannot be told, but there is only one
                loose.append(Dated(days.pop()))
    is_sold = any(name in node for node, _ in nodes for name in _SOLD)
    dated = [one for node, is_own in nodes if (one := _dated(node, is_own))]
    return [one for one in dated if one.rank != REVIEW or not is_sold] + loose


def _parsed(text: str) -> Any:
    """The first value in a script, whatever comment or CDATA section is around it."""
    text = text.replace("<![CDATA[", "", 1)
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    return _DECODER.raw_decode(text, min(starts))[0] if starts else None


def _nodes(value: Any) -> Iterator[tuple[dict[str, Any], bool]]:
    """The things in a value, in order, and whether they are the page's own wherever they are."""
    waiting = [(value, True)]
    while waiting:
        value, is_own = waiting.pop()
        if isinstance(value, list):
            waiting += [(one, is_own) for one in reversed(value)]
        elif isinstance(value, dict):
            yield value, is_own
            waiting += [(inner, is_own and name in _OWN) for name, inner in reversed(value.items())]


def _dated(node: dict[str, Any], is_own: bool) -> Dated | None:
    day = next((day for text in _texts(node.get("datePublished")) if (day := day_of(text))), None)
    rank = rank_of(_texts(node.get("@type"))) if day else None
    if day is None or rank is None:
        return None
    urls = [text for name in ("url", "@id", "mainEntityOfPage") for text in _texts(node.get(name))]
    addresses = tuple(address for url in urls if (address := address_of(url)))
    names = [*urls, *(text for key in ("headline", "name") for text in _texts(node.get(key))), ""]
    return Dated(day, rank, addresses[0].path if addresses else names[0], addresses, is_own)


def _texts(value: Any) -> list[str]:
    """The strings that a value is or holds."""
    values = value if isinstance(value, list) else [value]
    plain = ((one.get("@id") or one.get("@value")) if isinstance(one, dict) else one for one in values)
    return [one for one in plain if isinstance(one, str)]
