"""Text for streams that cannot hold every character, such as a pipe on Windows: it is written, in other characters."""

import codecs
from typing import TextIO

HANDLER = "pipeline.plain_text"
"""Name of the error handler of codecs."""
PLAIN = str.maketrans(
    {"█": "#", "░": ".", "✓": "+", "✗": "x", "…": "...", "≥": ">=", "≤": "<=", "–": "-", "—": "-", "·": ".", "×": "x"}
    | dict(zip("▁▂▃▄▅▆▇", "__..ooO", strict=True))
    | dict.fromkeys("‘’", "'")
    | dict.fromkeys("“”„", '"')
    | {"\N{NO-BREAK SPACE}": " ", "\N{REPLACEMENT CHARACTER}": "?"}
)
"""Character -> what stands for it; all others become escapes, \\u00e9, which TOML and JSON read as that character."""


def write_any_text(stream: TextIO) -> None:
    """Make a stream accept all text, whatever its encoding: also file names that are no valid UTF-8."""
    codecs.register_error(HANDLER, _plain)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:  # a stream that is a plain Python object may be none of the system's
        reconfigure(errors=HANDLER)


def ascii_text(text: str) -> str:
    """The text in ASCII."""
    return "".join(map(_escaped, text.translate(PLAIN)))


def is_unicode(stream: TextIO) -> bool:
    """Whether a stream's encoding holds every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "").startswith("utf")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return ascii_text(error.object[error.start : error.end]), error.end


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 128:
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
