"""JSON of a page, read so that no page can harm: what is no JSON is None, and what a page writes deep or long is left out."""

import json
import re
from typing import Any

MAX_JSON = 8_000_000
"""Characters of a value that is read; the longest of 3,175 pages has a fifth of this."""
# Scripts of XHTML wrap their content: //<![CDATA[ … //]]>, or <!-- … -->.
_WRAPPING = re.compile(r"\s*(?://\s*|/\*\s*)?<!(?:--|\[CDATA\[)(?:\s*\*/)?")


def read_json(text: str) -> Any:
    """The value at the beginning of `text`; None if there is none. Numbers stay strings: they are not needed, and converting
    them takes time that grows with the square of their digits."""
    wrapped = _WRAPPING.match(text)
    start = wrapped.end() if wrapped else 0
    if len(text) > MAX_JSON:
        return None
    try:
        return _DECODER.raw_decode(text[start:].lstrip())[0]
    except (ValueError, RecursionError):
        return None


_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)
