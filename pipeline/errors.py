"""The errors that a user sees.

Data errors, such as a page that cannot be parsed, are counted reasons in the ledger, never exceptions. Exceptions are:

    Exception
    ├── UserError    bad config, missing file, full disk: one line, exit code 2, no traceback
    └── anything     a bug: full traceback, with the document's id, exit code 1
"""

import difflib
import os
from collections.abc import Iterable

SHOWN = 8
"""Known names that a message lists where there are many."""
ALL_SHOWN = 12
"""Known names up to which a message lists all."""


class UserError(Exception):
    """Something the user can fix; the message is one line that names the key or path and what is accepted."""


def from_here(path: str) -> str:
    """The end of a message on a file that is not there: where its relative path begins."""
    return "" if os.path.isabs(path) else "; paths are relative to the current directory"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint to put after an unknown name, with the nearest known one; empty if none is near."""
    near = difflib.get_close_matches(name, list(known), 1)
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
