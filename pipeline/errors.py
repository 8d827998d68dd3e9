"""The errors a person sees.

Data errors (a page that will not parse) are counted reasons in the ledger, never exceptions. What remains:

    Exception
    ├── UserError    bad config, missing file, full disk: one line, exit code 2, no traceback
    └── anything     a bug: full traceback, with the document's id, exit code 1
"""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend; the message is one line that names the key or path and what is accepted."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to add after a name that is none: the nearest of those there are; nothing if none is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""
