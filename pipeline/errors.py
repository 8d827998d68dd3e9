"""The errors a person sees.

Data errors (a page that will not parse) are counted reasons in the ledger, never exceptions. What remains:

    Exception
    ├── UserError    bad config, missing file, full disk: one line, exit code 2, no traceback
    └── anything     a bug: full traceback, with the document's id, exit code 1
"""


class UserError(Exception):
    """Something the user can mend; the message is one line that names the key or path and what is accepted."""
