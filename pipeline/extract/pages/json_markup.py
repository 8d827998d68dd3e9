"""A string of JSON as markup: pages keep HTML in such strings, HTML with its tags escaped, or plain text."""

import re
from html import unescape

_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]{0,15}(?:\s[^<>]*)?/?>")
_ESCAPED_TAG = re.compile(r"&lt;/?(?:p|br|div|span|a|b|strong|em|i|ul|ol|li|h[1-6])(?:\s|/|&gt;)", re.I)


def as_markup(text: str) -> str:
    """The string as HTML, each line of plain text a paragraph. Character references stay as they are."""
    if _ESCAPED_TAG.search(text) and not _TAG.search(text):
        text = unescape(text)
    if _TAG.search(text):
        return text
    lines = (line.strip() for line in text.replace("<", "&lt;").splitlines())
    return "<p>".join(line for line in lines if line)
