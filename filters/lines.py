"""Lines that repeat across a corpus: navigation, notices, the boilerplate on every page of a site.

    CCNet      (Wenzek et al. 2020, section 3.1) drops a line whose normalized form occurred before: `max_count=1, keep="first"`
    Llama 3    (Grattafiori et al. 2024, section 3.1.1) drops the lines that occur more than 6 times in a bucket of 30
               million documents: `max_count=6, keep="none"`
    C4         (its code, tensorflow_datasets' c4_utils.py) keeps a line in one page only: `max_count=1, keep="first"`, and
               ignores case and white space at the ends, for ASCII only: `normalize=False, lower=True`
    CS336      (Stanford, assignment 4) keeps the lines that occur once: `max_count=1, keep="none"`, across files

A line ends at "\\n" and is removed with its line break. A line's hash is the first 8 bytes of the SHA-1 of its UTF-8, as
in CCNet. It is normalized as by CCNet's `normalize_for_dedup`: white space at the ends stripped, lower case, each decimal
digit 0, control characters and the marks in its list of Unicode punctuation removed. One difference: a capital sigma
always becomes σ, never ς. Blank lines do not count as lines here; CCNet drops all but the first.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arguments import at_least, not_one
from pipeline.errors import UserError, did_you_mean
from pipeline.filters.dedup.repeats import Keep, Marks, mark_repeats
from pipeline.filters.kernels import line_hashes
from pipeline.filters.kernels.arrays import text_buffers
from pipeline.filters.kernels.line_hashes import BLANK, REMOVED, STRIPPED
from pipeline.filters.kernels.spans import Ranges, cuts_of_marks, join

LIBRARIES = ("unicode",)  # Python's tables decide the normal form of a line

# cc_net/text_normalizer.py, UNICODE_PUNCT without the full-width digit, which is 0 by then
_PUNCTUATION = "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
_AS_THEY_ARE = np.zeros(0, np.uint32)
_AS_THEY_ARE.flags.writeable = False
_BLOCK = 1 << 24  # bytes of a file read together


class Lines(NamedTuple):
    """The lines of n texts: those of text i are offsets[i]:offsets[i + 1]; starts and ends in bytes from the text's start."""

    offsets: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    """0 for a blank line."""


@lru_cache(1)
def _normal_forms() -> npt.NDArray[np.uint32]:
    """What each code point becomes, uint32 (0x110000,)."""
    table = np.arange(0x110000, dtype=np.uint32)
    for code in [*range(0xD800), *range(0xE000, 0x110000)]:
        character = chr(code)
        if character.isspace():
            table[code] |= BLANK
        if code < 32 or 127 <= code < 160:
            table[code] = STRIPPED if character.isspace() else REMOVED
        elif character.isdecimal():
            table[code] = ord("0")
        elif character in _PUNCTUATION:
            table[code] = REMOVED
        else:
            table[code] = table[code] & BLANK | ord(character.lower()[0])
    table.flags.writeable = False
    return table


@lru_cache(1)
def _lower_forms() -> npt.NDArray[np.uint32]:
    """The same table with changes to ASCII letters and white space only, as in Python's bytes.strip().lower()."""
    table = np.arange(0x110000, dtype=np.uint32)
    table[ord("A") : ord("Z") + 1] += 32
    table[[*b" \t\n\r\v\f"]] |= BLANK
    table.flags.writeable = False
    return table


def find_lines(texts: pa.Array, *, normalize: bool = True, lower: bool = False) -> Lines:
    """The lines of each text of a string array; none for a null.

    Lines are hashed as CCNet does with `normalize`, else as C4's code does with `lower`, else as they are.
    """
    table = _normal_forms() if normalize else _lower_forms() if lower else _AS_THEY_ARE
    return _lines(*text_buffers(texts), table, blanks_count=False)


def _lines(data: Any, begins: Any, lasts: Any, table: npt.NDArray[np.uint32], *, blanks_count: bool) -> Lines:
    size = line_hashes.count_lines(data, begins, lasts)
    offsets = np.zeros(begins.size + 1, np.int64)
    starts, ends, hashes = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.uint64)
    longest = int((lasts - begins).max(initial=0))
    normalized = np.empty(longest * 3 // 2 + 8 + line_hashes.PADDING, np.uint8)  # Ⱥ (2 bytes) becomes ⱥ (3)
    words = np.empty(80, np.uint32)
    n = line_hashes.find_lines(
        data, begins, lasts, table, blanks_count, normalized, words, offsets, starts, ends, hashes
    )
    return Lines(offsets, starts[:n], ends[:n], hashes[:n])


def cut_lines(lines: Lines, marks: npt.NDArray[np.bool_], sizes: npt.NDArray[np.int64]) -> Ranges:
    """The ranges that remove the marked lines, each with the line break after it. Where the text's last line has no break,
    the break before it is removed instead. sizes: bytes of each text."""
    text = np.repeat(np.arange(sizes.size), np.diff(lines.offsets))
    open_end = lines.ends == sizes[text]  # the last line, without a break
    ranges = cuts_of_marks(marks, lines.offsets, lines.starts, lines.ends + ~open_end)
    text = np.repeat(np.arange(sizes.size), np.diff(ranges.offsets))
    unended = np.zeros(sizes.size, np.bool_)
    unended[np.repeat(np.arange(sizes.size), np.diff(lines.offsets))[open_end]] = True
    tail = unended[text] & (ranges.ends == sizes[text])
    return join(Ranges(ranges.offsets, np.maximum(ranges.starts - tail, 0), ranges.ends))


def dedup_lines(
    paths: Sequence[str | Path], out_dir: str | Path, keep: Keep = "none", *, memory: int = 1 << 30
) -> dict[str, int]:
    """Rewrite text files without the lines that occur more than once in all files together, compared byte for byte.

    `keep`: the first occurrence of such a line stays, in the order of `paths`, or none. The results have the same file
    names in `out_dir`. Returns {"lines", "kept"}. `memory` bounds the tables, in bytes; files may be of any size, but a
    line must fit in memory. A missing "\\n" at the end of a file makes no difference; blank lines count as lines.
    """
    if keep not in ("first", "none"):
        raise UserError(f"keep must be first or none, not {keep!r}{did_you_mean(keep, ('first', 'none'))}")
    not_one(paths, "paths", "paths", "path")
    at_least(memory, "memory")
    files = [Path(path) for path in paths]
    names = [file.name for file in files]
    for file in files:
        if names.count(file.name) > 1:
            raise UserError(f"{file}: another file has the same name; their copies would overwrite each other")
        if not file.is_file():
            raise UserError(f"{file}: no such file")
        if file.parent.resolve() == Path(out_dir).resolve():
            raise UserError(f"{file}: is in {out_dir}, where its copy would be written")
    Path(out_dir).mkdir(parents=True, exist_ok=True)

    def blocks() -> Iterator[tuple[int, Path, npt.NDArray[np.uint8], Lines]]:
        number = 0
        for file in files:
            for block in _blocks(file):
                data = np.frombuffer(block, np.uint8)
                begins, lasts = np.zeros(1, np.int64), np.array([data.size])
                yield number, file, data, _lines(data, begins, lasts, _AS_THEY_ARE, blanks_count=True)
                number += 1

    with tempfile.TemporaryFile(dir=out_dir) as spill:
        marks = Marks(spill)
        size = sum(file.stat().st_size for file in files)
        mark_repeats(
            lambda: ((number, lines.hashes) for number, _, _, lines in blocks()),
            marks,
            at_most=size,
            memory=memory,
            keep=keep,
        )
        counts = {"lines": 0, "kept": 0}
        started: set[Path] = set()
        for number, file, data, lines in blocks():
            removed = marks.of(number, lines.hashes.size)
            counts["lines"] += removed.size
            counts["kept"] += int(removed.size - removed.sum())
            with open(_temporary(file, out_dir), "ab" if file in started else "wb") as out:
                started.add(file)
                bounds = np.append(lines.starts, data.size)
                for start, end in _runs(~removed):
                    out.write(data[bounds[start] : bounds[end]].data)
        for file in files:
            if file not in started:
                _temporary(file, out_dir).touch()
            os.replace(_temporary(file, out_dir), Path(out_dir) / file.name)
    return counts


def _temporary(file: Path, out_dir: str | Path) -> Path:
    return Path(out_dir) / f".{file.name}.tmp"


def _blocks(file: Path) -> Iterator[bytes]:
    """Read the file in blocks of complete lines."""
    with open(file, "rb") as stream:
        while block := stream.read(_BLOCK):
            if not block.endswith(b"\n"):
                block += stream.readline()
            yield block


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
