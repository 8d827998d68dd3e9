"""The errors that a user sees.

Data errors, such as a page that cannot be parsed, are counted reasons in the ledger, never exceptions. Exceptions are:

    Exception
    ├── UserError    bad config, missing file, full disk: one line, exit code 2, no traceback
    │   └── DocumentError   … that one document brings up
    └── anything     a bug: full traceback, with the document's id, exit code 1
"""

import difflib
import os
import re
from collections.abc import Iterable

SHOWN = 8
"""Known names that a message lists where there are many."""
ALL_SHOWN = 12
"""Known names up to which a message lists all."""


_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,15}://)(?:[^\s/?#\"'<>]*@)?([^\s?#\"'<>]*)"
    r"(?:\?([^\s#\"'<>]*?)(?=[:;,.)]{0,3}(?:[\s#\"'<>]|$)))?"
)
"""Scheme, user and password, host and path, query of a URL in a text; what ends a sentence is no part of it."""
_SECRET = re.compile(
    r"x-(?:amz|goog|ms|oss|obs|cos|tos)-.*|awsaccesskeyid|googleaccessid|ossaccesskeyid|sig|expires|policy|key-pair-id"
    r"|key|auth|authorization|credentials?|api[_-]?key|access[_-]?key|.*(?:token|secret|passw|signature).*",
    re.I,
)
"""Names of parameters that sign a URL or grant access: those of Amazon, Google and their like, and usual names."""
_BESIDE_SIG = frozenset(
    {"sv", "ss", "srt", "sp", "se", "st", "spr", "sip", "sr", "skoid", "sktid", "skt", "ske", "sks", "skv"}
)
"""Parameters that Azure has beside `sig`."""


def without_secrets(text: str) -> str:
    """A text whose URLs have no user, password or signature: what may be stored, shown and hashed. A file whose signature is
    renewed is the same file."""
    return _URL.sub(_without_secrets, text) if "://" in text else text


def _without_secrets(url: re.Match[str]) -> str:
    scheme, place, query = url.groups()
    pairs = (query or "").split("&")
    names = [pair.partition("=")[0].lower() for pair in pairs]
    beside = _BESIDE_SIG if "sig" in names else frozenset()
    kept = [p for p, name in zip(pairs, names, strict=True) if not _SECRET.fullmatch(name) and name not in beside]
    return f"{scheme}{place}{'?' * any(kept)}{'&'.join(kept)}"


class UserError(Exception):
    """Something the user can fix; the message is one line that names the key or path and what is accepted.

    `details`, such as the traceback of a plugin, are for the run's log alone.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(without_secrets(message))
        self.details = details


class DocumentError(UserError):
    """A user's error that one document brings up, such as an exception of a plugin; the engine adds where that is."""


def printable(text: str, keep: str = "\t") -> str:
    """Text that may name files or come from the web, for a terminal: U+FFFD for control and direction-changing characters."""
    return "".join(c if c.isprintable() or c in keep else "\N{REPLACEMENT CHARACTER}" for c in text)


def from_here(path: str) -> str:
    """The end of a message on a file that is not there: where its relative path begins."""
    return "" if os.path.isabs(path) else "; paths are relative to the current directory"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint to put after an unknown name, with the nearest known one; empty if none is near."""
    near = (
        difflib.get_close_matches(name, list(known), 1) if isinstance(name, str) else []
    )  # Python callers pass anything
    return f" (did you mean {near[0]}?)" if near else ""


def known_names(name: str, known: Iterable[str], all_in: str) -> str:
    """What to put after an unknown name: a hint, and the known names. Of many, those nearest to it, and where all are listed:
    " (did you mean words?); known: words, sentences, …; docs/reference/signals.md lists all"."""
    names = list(known)
    return f"{did_you_mean(name, names)}; known: {listed(names, all_in, near=name)}"


def listed(names: Iterable[str], all_in: str, near: str = "") -> str:
    """Names, separated by commas; of many, SHOWN of them, the nearest to `near` first, and where all are listed."""
    given = list(names)
    if len(given) <= ALL_SHOWN:
        return ", ".join(given)
    nearest = difflib.get_close_matches(near, given, SHOWN, cutoff=0.4) if near else []
    shown = list(dict.fromkeys([*nearest, *given]))[:SHOWN]
    return f"{', '.join(shown)}, …; {all_in} lists all"
