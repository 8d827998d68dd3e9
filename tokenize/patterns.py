"""How text is cut into pre-tokens. BPE never merges across them."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import regex

LIBRARIES = ("regex", "unicode")  # their tables decide where text is cut

# GPT-2's (openai/gpt-2, encoder.py).
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# cl100k_base's (openai/tiktoken, openai_public.py) without possessive quantifiers, which Oniguruma, the engine of
# `tokenizers`, reads differently. The matches are the same.
CL100K_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_STREAM_CHARACTERS = 1 << 16


def split(text: str, pattern: str) -> Iterator[str]:
    """The pre-tokens of one text. Unmatched text is a pre-token too, so that no byte is lost."""
    end = 0
    for match in regex.finditer(pattern, text):
        if match.start() > end:
            yield text[end : match.start()]
        if match.end() > match.start():
            yield match.group()
        end = match.end()
    if end < len(text):
        yield text[end:]


def recut(chunks: Iterable[str], pattern: str, special_tokens: Sequence[str]) -> Iterator[str]:
    """The same text in pieces that give the same pre-tokens and special tokens as the whole text."""
    if pattern not in (GPT2_PATTERN, CL100K_PATTERN):
        yield "".join(chunks)
        return
    # A special token that crosses a cut is found only if the buffer holds all of it.
    reach = max(map(len, special_tokens), default=1) - 1
    pending: list[str] = []
    size, min_size = 0, _STREAM_CHARACTERS
    for chunk in chunks:
        pending.append(chunk)
        size += len(chunk)
        if size < min_size:
            continue
        text = "".join(pending)
        cut = _safe_cut(text, len(text) - reach, special_tokens)
        if cut:
            yield text[:cut]
        pending, size = [text[cut:]], len(text) - cut
        min_size = max(_STREAM_CHARACTERS, 2 * size)
    yield "".join(pending)


def _safe_cut(text: str, end: int, special_tokens: Sequence[str]) -> int:
    """The last position before `end` where a pre-token of both published patterns ends in any context; 0 if there is none.

    That is between a letter or digit and ASCII white space or punctuation: no alternative of either pattern crosses it or
    looks back. Only letters and digits of Unicode 3.2 count, since engines differ about newer ones.
    """
    for cut in range(end - 1, 0, -1):
        after, before = text[cut], text[cut - 1]
        if (
            after < "\x80"
            and not after.isalnum()
            and before.isalnum()
            and unicodedata.ucd_3_2_0.category(before)[0] in "LN"
        ):
            crossed = any(
                text.find(special, max(0, cut - len(special) + 1), cut + len(special) - 1) >= 0
                for special in special_tokens
            )
            if not crossed:
                return cut
    return 0
