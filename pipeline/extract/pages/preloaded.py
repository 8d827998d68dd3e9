"""The text in the state that a page's framework preloads: Discourse's posts; and of Next.js, Nuxt, Apollo, Redux and their like
what stands under names such as "body" and reads like prose.

Scripts are not run, and only JSON of a known form is read as such: elsewhere strings are found by their names, in JSON as in
JavaScript.
"""

import re
from collections.abc import Iterator
from html import unescape

from pipeline.extract.pages.entries import words
from pipeline.extract.pages.json_markup import as_markup
from pipeline.extract.pages.json_values import read_json
from pipeline.extract.pages.scripts import every_script

_PROSE = 20
"""Fewest words of a string that reads like prose."""
_NAMES = (
    *(
        "articleBody",
        "body",
        "content",
        "cooked",
        "description",
        "html",
        "longDescription",
        "markdown",
        "message",
        "paragraph",
    ),
    *("productDescription", "richText", "text"),
)
"""Names of strings that hold text; Html, Text or Content may follow. Not those of a page's frame, such as "buttonText", nor of
summaries, such as "excerpt"."""
_FULL_NAMES = frozenset(name + suffix for name in _NAMES for suffix in ("", "Html", "Text", "Content"))
_STATE = (
    b"_STATE__",
    b"__NUXT",
    b"__data",
    b"_data=",
    b"ApolloSSRDataTransport",
    b"Context =",
    b"JSON.parse(",
    b"__next_f",
)
"""Of these a script has one that sets a state: window.__APOLLO_STATE__ = …"""
_SMALL = 100
"""Bytes of a script with too few words."""

_DISCOURSE = re.compile(rb"data-preloaded\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_STRING = re.compile(r"((?:Html|Text|Content)?)[\"']?\s{0,4}:\s{0,4}(\"(?:[^\"\\\n]|\\.)*+\")")
_IN_STRING = re.compile(r"JSON\.parse\(\s*(\"(?:[^\"\\\n]|\\.)*+\")")
_FLIGHT = re.compile(r"__next_f\s*\.\s*push\s*\(\s*\[\s*1\s*,\s*(\"(?:[^\"\\\n]|\\.)*+\")")
_LONG_ROW = re.compile(r"(?:^|(?<=[\n\]}\")]))[0-9a-f]{1,8}:T([0-9a-f]{1,8}),")
_BEFORE = ("", '"', "'", "{", ",", " ", "\n", "\t")
"""What stands before a name."""
_SENTENCE = re.compile(r"[.!?…।؟](?:[\s\"'”’»)\]<]|$)|[。！？]")
_CODE = re.compile(r"[{};]\s*[{};]|\bfunction\s*\(|=>|^\s*[{\[]|\$\{")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))")
_TAG = re.compile(r"<[^<>]*>")


def discourse(html: bytes) -> Iterator[str]:
    """The posts of a Discourse topic, in order, each under its writer's name."""
    found = _DISCOURSE.search(html, max(0, html.find(b"data-preloaded=")))
    if not found:
        return
    stores = read_json(unescape((found[1] or found[2] or b"").decode(errors="ignore")))
    for name, store in stores.items() if isinstance(stores, dict) else ():
        topic = read_json(store) if name.startswith("topic_") and isinstance(store, str) else None
        stream = topic.get("post_stream") if isinstance(topic, dict) else None
        posts = stream.get("posts") if isinstance(stream, dict) else None
        for post in posts if isinstance(posts, list) else ():
            cooked = post.get("cooked") if isinstance(post, dict) else None
            if isinstance(cooked, str) and cooked:
                writer = post.get("username")
                named = f"<p>{as_markup(writer)}</p>" if isinstance(writer, str) else ""
                yield f"{named}<div>{cooked}</div>"


def state(html: bytes) -> list[str]:
    """The strings of prose in scripts of JSON, and in those that set a framework's state, in order; of one name only, that
    of the longest: the others are summaries, and texts of the page's frame."""
    by_name: dict[str, list[tuple[int, str]]] = {}
    for name, text in _named_strings(html):
        if found := _prose(text):
            by_name.setdefault(name, []).append(found)
    most = max(by_name.values(), key=lambda found: max(size for size, _ in found), default=[])
    return [f"<div>{markup}</div>" for _, markup in most]


def _named_strings(html: bytes) -> Iterator[tuple[str, str]]:
    """Name and text of each string, in order."""
    flight: list[str] = []
    for attributes, content in every_script(html):
        kind = attributes.lower()
        if b"ld+json" in kind or (len(content) < _SMALL and b"__next_f" not in content):
            continue
        if b"json" not in kind and not any(mark in content for mark in _STATE):
            continue
        script = content.decode(errors="ignore")
        if b"__nuxt_data__" in kind:
            yield from _of_nuxt(script)
        elif "__next_f" in script:
            flight += [_unquoted(chunk) for chunk in _FLIGHT.findall(script)]
        else:
            yield from _strings(script)
            for quoted in _IN_STRING.finditer(script):
                yield from _strings(_unquoted(quoted[1]))
    yield from _of_flight("".join(flight))


def _unquoted(quoted: str) -> str:
    """The text of a string in double quotes, of JSON or JavaScript; "" if it is none."""
    text = read_json(quoted)
    if text is None:
        text = read_json(_ESCAPE.sub(_of_json, quoted))
    return text if isinstance(text, str) else ""


def _of_json(escape: re.Match[str]) -> str:
    """An escape of JavaScript as one of JSON."""
    if escape[1]:
        return f"\\u00{escape[1]}"
    return escape[0] if escape[2] in '"\\/bfnrtu' else escape[2]


def _strings(script: str) -> Iterator[tuple[str, str]]:
    found = []
    for name in _NAMES:
        at = script.find(name)
        while at >= 0:
            end = at + len(name)
            # Behind a name's colon stands a quote, which ends any string that is being read: each byte is read once.
            string = _STRING.match(script, end) if script[at - 1 : at] in _BEFORE else None
            if string:
                end = string.end()
                if _has_spaces(string[2]):
                    found.append((at, name + string[1], string[2]))
            at = script.find(name, end)
    for _, name, quoted in sorted(found):
        yield name, _unquoted(quoted)


def _has_spaces(quoted: str) -> bool:
    """Whether a string may be prose: it has spaces, or characters of scripts without them."""
    return quoted.count(" ") >= _PROSE // 2 or not quoted.isascii() or "\\u" in quoted


def _of_flight(stream: str) -> Iterator[tuple[str, str]]:
    """Next.js sends its components' data as lines of JSON; long strings have rows of their own, with their size in bytes."""
    at = 0
    while row := _LONG_ROW.search(stream, at):
        yield from _strings(stream[at : row.start()])
        size = int(row[1], 16)
        own = stream[row.end() : row.end() + size].encode(errors="surrogatepass")[:size].decode(errors="ignore")
        yield "", own
        at = row.end() + len(own)
    yield from _strings(stream[at:])


def _of_nuxt(script: str) -> Iterator[tuple[str, str]]:
    """Nuxt lists all values of its state; objects hold the positions of theirs."""
    values = read_json(script)
    for value in values if isinstance(values, list) else ():
        for name, place in value.items() if isinstance(value, dict) else ():
            if (
                name in _FULL_NAMES
                and isinstance(place, str)
                and place.isdecimal()
                and len(place) < 9
                and int(place) < len(values)
            ):
                text = values[int(place)]
                yield name, text if isinstance(text, str) else ""


def _prose(text: str) -> tuple[int, str] | None:
    """Words and markup of a string, if it reads like prose."""
    markup = as_markup(text)
    plain = unescape(_TAG.sub(" ", markup))
    size = len(words(plain))
    if size < _PROSE or not _SENTENCE.search(plain) or _CODE.search(plain, 0, 2000):
        return None
    return size, markup
