"""How text is cut into pre-tokens. BPE never merges across them."""

import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import regex

from pipeline.arguments import not_one, one_text
from pipeline.errors import UserError, did_you_mean

LIBRARIES = ("regex", "unicode")  # their tables decide where text is cut

# GPT-2's (openai/gpt-2, encoder.py).
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# cl100k_base's (openai/tiktoken, openai_public.py) without possessive quantifiers, which Oniguruma, the engine of
# `tokenizers`, reads differently. The matches are the same, but for white space at the end of a text (_TIKTOKEN_CL100K).
CL100K_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# o200k_base's (the same file): words end where a capital follows a small letter, and keep their contraction.
O200K_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Qwen2's to Qwen3's (transformers, tokenization_qwen2.py): cl100k's with each digit by itself. Llama 3's (its tokenizer.json)
# is CL100K_PATTERN to the letter.
QWEN2_PATTERN = CL100K_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")
PATTERNS = {
    "gpt2": GPT2_PATTERN,
    "cl100k": CL100K_PATTERN,
    "llama3": CL100K_PATTERN,
    "o200k": O200K_PATTERN,
    "qwen2": QWEN2_PATTERN,
}
"""The published patterns by name, each read alike by `regex` and by Oniguruma."""
# What tiktoken 0.14.0 has for cl100k_base. It keeps white space at the end of a text whole, "\n  " too, and so differs from
# CL100K_PATTERN there. `\s+(?!\s|\S)` is its `\s++$`: in Oniguruma, `$` is the end of any line.
_TIKTOKEN_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_PORTABLE_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s+(?!\s|\S)|\s*[\r\n]|\s+(?!\S)|\s"
)
# Published spellings, and patterns with the same matches that every engine reads alike.
_PORTABLE = {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+": GPT2_PATTERN,  # tiktoken 0.1
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s": GPT2_PATTERN,  # tiktoken 0.14
    _TIKTOKEN_CL100K: _PORTABLE_CL100K,
}

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


def portable(pattern: str) -> str:
    """A pattern that `regex` (which training cuts by) and Oniguruma (which encoding cuts by) read alike.

    A name in PATTERNS is the pattern of that name. tiktoken's own patterns are rewritten with the same matches. UserError for
    any other pattern that the two read differently on a text of `_probes`, or that one of them cannot read.
    """
    one_text(pattern, "pattern")
    if pattern.isalnum() and pattern not in PATTERNS:
        raise UserError(
            f"pattern {pattern!r}: no published pattern has this name{did_you_mean(pattern, PATTERNS)}; "
            f"known: {', '.join(PATTERNS)}, or give a regular expression"
        )
    pattern = PATTERNS.get(pattern) or _PORTABLE.get(pattern, pattern)
    if pattern not in PATTERNS.values():
        _check_engines(pattern)
    return pattern


@lru_cache(maxsize=16)
def _check_engines(pattern: str) -> None:
    import tokenizers  # only other people's patterns need it

    try:
        regex.compile(pattern)
        cut = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    except Exception as error:  # tokenizers raises bare Exception
        raise UserError(f"pattern {pattern!r} cannot be read: {error}") from None
    for text in _probes():
        trained = list(split(text, pattern))
        encoded = [piece for piece, _ in cut.pre_tokenize_str(text)]
        if trained != encoded:
            first = next(n for n, (a, b) in enumerate(zip([*trained, ""], [*encoded, ""], strict=False)) if a != b)
            near = text if len(text) < 40 else "".join(trained[first : first + 2])[:20]
            raise UserError(
                f"pattern {pattern!r} cuts {near!r} differently in training and in encoding; write x+ for x++, {{1,3}} "
                r"for {1,3}+, (?!\s|\S) for $ (the end of the text), and [\p{L}\p{M}\p{N}_] for \w"
            )


@lru_cache(maxsize=1)
def _probes() -> tuple[str, ...]:
    """Texts on which engines are known to differ: numbers, contractions, white space at ends, every character class."""
    gaps = [
        "",
        " ",
        "  ",
        "\n",
        "\n ",
        "\n  ",
        " \n",
        "\r\n",
        "\n\n",
        " \n \n ",
        "\t \t",
        "\u00a0 ",
        "\u3000",
        "\u2028 ",
    ]
    words = [
        "2026",
        "1234567",
        "ab",
        "AbC",
        "it's",
        "WE'LL",
        "x!!",
        "...",
        "a1b22c333",
        "\u0645\u0661\u0662\u0663\u0664",
        "e\u0301",
    ]
    short = [front + word + gap + after for front in gaps for word in words for gap in gaps for after in ("", "b", "?")]
    # Characters that Unicode 3.2 has: engines of different age differ about newer ones.
    by_class: dict[str, list[str]] = {}
    for character in map(chr, range(sys.maxunicode + 1)):
        kind = unicodedata.ucd_3_2_0.category(character)
        if kind not in ("Cn", "Cs", "Co") and kind == unicodedata.category(character):
            by_class.setdefault(kind, []).append(character)
    classes = [
        "".join(f"a{character}{character}1 {character}B" for character in characters[:: max(1, len(characters) // 200)])
        for characters in by_class.values()
    ]
    return (*short, *classes)


def recut(chunks: Iterable[str], pattern: str, special_tokens: Sequence[str]) -> Iterator[str]:
    """The same text in pieces that give the same pre-tokens and special tokens as the whole text."""
    not_one(chunks, "chunks")
    if pattern not in PATTERNS.values():
        yield "".join(chunks)
        return
    # o200k's words keep their contraction, so none may be cut before an apostrophe.
    glue = "'" if pattern == O200K_PATTERN else ""
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
        cut = _safe_cut(text, len(text) - reach, special_tokens, glue)
        if cut:
            yield text[:cut]
        pending, size = [text[cut:]], len(text) - cut
        min_size = max(_STREAM_CHARACTERS, 2 * size)
    yield "".join(pending)


def _safe_cut(text: str, end: int, special_tokens: Sequence[str], glue: str) -> int:
    """The last position before `end` where a pre-token of every published pattern ends in any context; 0 if there is none.

    That is between a letter or digit and ASCII white space or punctuation other than `glue`: no alternative of the patterns
    crosses it or looks back. Only letters and digits of Unicode 3.2 count, since engines differ about newer ones.
    """
    for cut in range(end - 1, 0, -1):
        after, before = text[cut], text[cut - 1]
        if (
            after < "\x80"
            and not after.isalnum()
            and after != glue
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
