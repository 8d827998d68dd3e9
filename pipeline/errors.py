"""The errors that a user sees.

Data errors, such as a page that cannot be parsed, are counted reasons in the ledger, never exceptions. Exceptions are:

    Exception
    ├── UserError    bad config, missing file, full disk: one line, exit code 2, no traceback
    └── anything     a bug: full traceback, with the document's id, exit code 1
"""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can fix; the message is one line that names the key or path and what is accepted."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint to put after an unknown name, with the nearest known one; empty if none is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""
