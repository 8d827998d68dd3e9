"""The perplexity of a text under an n-gram language model, by which CCNet sorts pages into head, middle and tail.

    model = NgramModel.load("reference.ngrams")       # from `pipeline perplexity train` (filters/models/kneser_ney.py)
    model = read_arpa("wiki.arpa.gz", normalization="words")  # from KenLM, SRILM or any tool that writes ARPA files
    model.perplexity(["Some text", ...])

A line is a sentence, from <s> to </s>; perplexity is 10 ** (-log10 probability / (words + lines)), as CCNet computes it
(Wenzek et al. 2020, section 3.3). Probabilities are KenLM's (Heafield 2011): that of the longest listed n-gram, times the
backoff weights of the longer contexts. tests/benchmarks/perplexity.py compares them with the `kenlm` package.

A model is one table of 64-bit n-gram keys, each with a probability and a weight (16 bytes per row, three rows for two n-grams),
in the order of the keys, so a look-up touches one place in memory. Among a billion n-grams, the probability that any two share
a key is 3 %; then some texts are scored slightly wrong. The file is memory-mapped and shared by all workers; it has a checksum.
"""

import gzip
import hashlib
import json
import struct
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pipeline.arguments import text_array
from pipeline.errors import UserError
from pipeline.filters.kernels.arrays import Texts, text_buffers
from pipeline.filters.kernels.ascii import (
    CAPITAL_E,
    FULL_STOP,
    HYPHEN,
    LINE_FEED,
    PLUS,
    RETURN,
    SMALL_E,
    SPACE,
    TAB,
    ZERO,
    is_digit,
)
from pipeline.filters.kernels.unicode import HASH_FACTOR, HASH_SEED, mix
from pipeline.filters.latex import normalize
from pipeline.kernels import inner, kernel

LIBRARIES = ("pyarrow",)  # its tables decide what white space is

MAGIC = b"ngrams 2"
BEGIN, END, UNKNOWN = b"<s>", b"</s>", b"<unk>"
MOST = 16
"""The highest order."""
NO_PROBABILITY = -99.0
"""The log10 probability of <s> in ARPA files; <s> never follows a word."""
UNKNOWN_PROBABILITY = -100.0
"""KenLM's log10 probability of an unlisted word in a model without <unk>."""

Table = npt.NDArray[np.uint64]
"""(rows, 2): key (0: free), and log10 probability (low half) and weight as float32."""


class Scores(NamedTuple):
    """One value per text."""

    log10: npt.NDArray[np.float64]
    words: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    unknown: npt.NDArray[np.int64]


class NgramModel:
    """An n-gram model. `closed`: for every listed n-gram, its last n - 1 words are listed too."""

    def __init__(self, table: Table, *, order: int, normalization: str, closed: bool = True, about: Any = None) -> None:
        self.table = table
        self.order = order
        self.normalization = normalization
        self.closed = closed
        self.about: dict[str, Any] = about or {}

    def score(self, texts: Texts) -> Scores:
        """Log10 probabilities of the texts, normalized as the model's were, line by line; all zero for a null text."""
        lines = normalize(text_array(texts), self.normalization, keep_lines=True)
        data, starts, ends = text_buffers(lines)
        out = Scores(np.zeros(len(lines)), *(np.zeros(len(lines), np.int64) for _ in range(3)))
        _score(data, starts, ends, self.table, self.order, self.closed, special(), out)
        return out

    def perplexity(self, texts: Texts) -> npt.NDArray[np.float64]:
        """The perplexity of each text; NaN for one without words, and for null."""
        scores = self.score(texts)
        tokens = scores.words + scores.lines
        rate = np.full(len(tokens), np.nan)
        np.divide(-scores.log10, tokens, out=rate, where=scores.words > 0)
        return np.asarray(10.0**rate)

    def divergence(self, texts: Texts) -> npt.NDArray[np.float64]:
        """The Kullback-Leibler divergence of each text's word distribution from the model's; the model must be of order 1.

        In nats per word or line end; NaN for a text without words. Llama 3 (2024, arXiv 2407.21783, section 3.1.1) uses it to
        drop documents with too many outlier tokens.
        """
        scores = self.score(texts)
        tokens = scores.words + scores.lines
        parts = pc.utf8_split_whitespace(normalize(text_array(texts), self.normalization, keep_lines=True)).fill_null(
            []
        )
        numbers = parts.flatten().dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
        owners = np.repeat(np.arange(len(parts)), pc.list_value_length(parts).to_numpy(zero_copy_only=False))
        pairs, counts = np.unique(owners << 32 | numbers, return_counts=True)
        # sum of -n log n over a text's different words and its line ends; its entropy is log(tokens) + that / tokens
        spread = np.bincount(pairs >> 32, -counts * np.log(counts), len(parts))
        spread -= scores.lines * np.log(np.maximum(scores.lines, 1))
        divergences = np.full(len(tokens), np.nan)
        has_words = scores.words > 0
        cross = -scores.log10[has_words] * np.log(10) / tokens[has_words]
        divergences[has_words] = cross - np.log(tokens[has_words]) - spread[has_words] / tokens[has_words]
        return divergences

    def save(self, path: Path) -> None:
        """Write magic, length of the header, header (JSON) and, at a multiple of 64 bytes, the table."""
        fields: dict[str, Any] = {"order": self.order, "normalization": self.normalization, "closed": self.closed}
        fields |= {"rows": len(self.table), "about": self.about, "checksum": _checksum(self.table)}
        header = json.dumps(fields, sort_keys=True).encode()
        header += b" " * (-(len(MAGIC) + 8 + len(header)) % 64)
        with open(path, "wb") as file:
            file.write(MAGIC + struct.pack("<Q", len(header)) + header)
            self.table.tofile(file)

    @classmethod
    def load(cls, path: Path | str, *, verify: bool = True) -> "NgramModel":
        """Memory-map a model file. UserError for another kind of file or a damaged one (`verify` reads the whole file)."""
        try:
            with open(path, "rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise UserError(
                        f"{path}: not an n-gram model of this version; python -m pipeline perplexity train makes one"
                    )
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(length))
            start = len(MAGIC) + 8 + length
            mapped = np.memmap(path, np.uint64, "r", start, (header["rows"], 2))
            table = np.frombuffer(mapped, np.uint64).reshape(-1, 2)  # a plain array, as the kernels are compiled for
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise UserError(f"{path}: cannot be read as an n-gram model ({error})") from None
        if verify and _checksum(table) != header["checksum"]:
            raise UserError(f"{path}: damaged (the checksum does not match)")
        fields = {name: header[name] for name in ("order", "normalization", "closed", "about")}
        return cls(table, **fields)


def _checksum(table: Table) -> str:
    return hashlib.blake2b(table.view(np.uint8).data, digest_size=16).hexdigest()


# --- Keys and the table ----------------------------------------------------------------------------------------------


@inner(forceinline=True)
def longer(key: Any, word: Any) -> Any:
    """The key of an n-gram with one more word before it; that of a single word is the word's hash."""
    return mix(key * HASH_FACTOR + word)


@kernel
def word_hash(data: Any, start: Any, end: Any) -> Any:
    """The hash of a word's bytes, never 0."""
    value = HASH_SEED
    for i in range(start, end):
        value = (value ^ np.uint64(data[i])) * HASH_FACTOR
    return mix(value)


@inner
def _home(key: Any, size: Any) -> Any:
    """The row where the search for a key begins: the key scaled to the number of rows."""
    return np.int64((key >> np.uint64(32)) * np.uint64(size) >> np.uint64(32))


@inner
def _find(table: Any, size: Any, key: Any) -> Any:
    """The row of a key, or -1. Keys ascend, so a search ends at the first larger one."""
    row = _home(key, size)
    while table[row, 0] != 0 and table[row, 0] < key:
        row += 1
    return row if table[row, 0] == key else -1


@kernel
def _rows(keys: Any, size: Any, rows: Any) -> None:
    """Write the row of each key: its home, or the first free one after it. The keys ascend."""
    free = 0
    for i in range(keys.shape[0]):
        free = max(free, _home(keys[i], size))
        rows[i] = free
        free += 1


def make_table(keys: npt.NDArray[Any], log10: npt.NDArray[Any], backoff: npt.NDArray[Any]) -> Table:
    """The table of n-grams with distinct keys: two thirds full, in the order of the keys. Its last row holds the size."""
    order = np.argsort(keys)
    keys = keys[order]
    size = len(keys) * 3 // 2 + 1
    if size >= 2**32:
        raise UserError(f"{len(keys):,} n-grams are more than a model can hold; prune them")
    rows = np.empty(len(keys), np.int64)
    _rows(keys, size, rows)
    table = np.zeros((max(size, int(rows[-1]) + 1 if len(rows) else 0) + 2, 2), np.uint64)
    table[rows, 0] = keys
    values = np.stack([log10[order], backoff[order]], axis=1).astype("<f4")
    table[rows, 1] = values.reshape(-1).view("<u8")
    table[-1, 1] = size  # the last row is free
    return table


@cache
def special() -> npt.NDArray[np.uint64]:
    """The hashes of <s>, </s> and <unk>."""
    words = [np.frombuffer(word, np.uint8) for word in (BEGIN, END, UNKNOWN)]
    return np.array([word_hash(word, 0, len(word)) for word in words], np.uint64)


@kernel(allocates=True)
def _score(data: Any, starts: Any, ends: Any, table: Any, order: Any, closed: Any, special: Any, out: Any) -> None:
    """Add up each document's lines, words, unknown words and log probabilities, line by line, by a back-off model."""
    size = np.int64(table[table.shape[0] - 1, 1])
    floats = table.view(np.float32)  # columns 2 and 3: probability and weight
    begin, end_of_line, unknown = special[0], special[1], special[2]
    words = np.empty(MOST, np.uint64)  # the last words, the latest first
    weights, fresh = np.zeros(MOST, np.float64), np.zeros(MOST, np.float64)
    for document in range(starts.shape[0]):
        i, last = starts[document], ends[document]
        while i < last:
            words[0] = begin
            row = _find(table, size, begin)
            weights[0] = floats[row, 3] if row >= 0 else 0.0
            context = 1 if order > 1 else 0  # how many of the last words form a listed context
            out.lines[document] += 1
            while True:
                ended = i == last or data[i] == LINE_FEED
                if not ended:
                    start = i
                    while i < last and data[i] != LINE_FEED and data[i] != SPACE:
                        i += 1
                    word = word_hash(data, start, i)
                    out.words[document] += 1
                    if i < last and data[i] == SPACE:
                        i += 1
                else:
                    word = end_of_line
                row = _find(table, size, word)
                if row < 0:
                    word = unknown
                    row = _find(table, size, word)
                    out.unknown[document] += 1
                matched = 1
                probability = np.float64(floats[row, 2]) if row >= 0 else UNKNOWN_PROBABILITY
                fresh[0] = np.float64(floats[row, 3]) if row >= 0 else 0.0
                key = word
                for n in range(1, context + 1):
                    key = longer(key, words[n - 1])
                    row = _find(table, size, key)
                    if row >= 0:
                        matched = n + 1
                        probability = np.float64(floats[row, 2])
                        fresh[n] = np.float64(floats[row, 3])
                    elif closed:
                        break
                    else:
                        fresh[n] = 0.0
                for n in range(matched, context + 1):
                    probability += weights[n - 1]
                out.log10[document] += probability
                if ended:
                    break
                known = matched if closed else context + 1
                context = min(known, order - 1)
                for n in range(context - 1, 0, -1):
                    words[n] = words[n - 1]
                words[0] = word
                for n in range(context):
                    weights[n] = fresh[n]
            i += 1


# --- ARPA ------------------------------------------------------------------------------------------------------------


def read_arpa(path: Path | str, normalization: str = "whitespace") -> NgramModel:
    """A model in ARPA format, as written by KenLM's lmplz and SRILM (.arpa, .arpa.gz). KenLM's binary files are not read.

    `normalization` is that of the texts it was trained on. UserError names an invalid line. Memory: 32 bytes per n-gram.
    """
    try:
        with cast(BinaryIO, gzip.open(path) if str(path).endswith(".gz") else open(path, "rb")) as file:
            sizes = _arpa_sizes(path, file)
            sections = [_section(path, file, order, sizes) for order in range(1, len(sizes) + 1)]
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    closed = all(bool(np.isin(longer_section[3], shorter[0]).all()) for shorter, longer_section in pairwise(sections))
    keys, log10, backoff = (np.concatenate([section[k] for section in sections]) for k in range(3))
    if len(np.unique(keys)) != len(keys):
        raise UserError(f"{path}: lists an n-gram twice")
    return NgramModel(make_table(keys, log10, backoff), order=len(sizes), normalization=normalization, closed=closed)


def _arpa_sizes(path: Path | str, file: BinaryIO) -> list[int]:
    sizes: list[int] = []
    begun = False
    for _ in range(1000):
        line = file.readline(1 << 16).strip()
        if line == b"\\data\\":
            begun = True
        elif begun and line.startswith(b"ngram "):
            sizes.append(int(line.partition(b"=")[2]))
        elif begun and not line and sizes:
            if len(sizes) > MOST:
                raise UserError(f"{path}: of order {len(sizes)}; {MOST} is the highest")
            return sizes
    raise UserError(f"{path}: not an ARPA file (no \\data\\ and ngram counts); KenLM's binary files cannot be read")


def _section(path: Path | str, file: BinaryIO, order: int, sizes: list[int]) -> Any:
    """The keys, log10 probabilities, backoff weights, and keys without the first word of one order."""
    line = b""
    while not (line := file.readline(1 << 16)).startswith(b"\\") and line:
        pass
    if line.strip() != f"\\{order}-grams:".encode():
        raise UserError(f"{path}: \\{order}-grams: is missing")
    count = sizes[order - 1]
    keys, shorter = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    log10, backoff = np.zeros(count, np.float32), np.zeros(count, np.float32)
    read = 0
    for block in _blocks(file, count):
        data = np.frombuffer(block, np.uint8)
        new = _parse(data, order, keys[read:], log10[read:], backoff[read:], shorter[read:])
        if new < 0:
            raise UserError(f"{path}: {order}-gram {read - new:,} is not a valid line of an ARPA file")
        read += new
    if read != count:
        raise UserError(f"{path}: has {read:,} {order}-grams, not {count:,}")
    return keys, log10, backoff, shorter


def _blocks(file: BinaryIO, lines: int) -> Iterator[bytes]:
    """The next `lines` lines, in blocks."""
    while lines > 0:
        block = [line for _ in range(min(lines, 100_000)) if (line := file.readline(1 << 16))]
        if not block:
            return
        lines -= len(block)
        yield b"".join(block)


@inner
def _number(data: Any, i: Any, end: Any) -> Any:
    """The decimal number at byte i, and its end (-1 if there is no number)."""
    sign, value, scale, exponent, digits = 1.0, 0.0, 0, 0, 0
    if i < end and data[i] in (HYPHEN, PLUS):
        sign = -1.0 if data[i] == HYPHEN else 1.0
        i += 1
    point = False
    while i < end and (is_digit(data[i]) or (data[i] == FULL_STOP and not point)):
        if data[i] == FULL_STOP:
            point = True
        else:
            value = value * 10.0 + (data[i] - ZERO)
            scale += point
            digits += 1
        i += 1
    if i + 1 < end and data[i] in (CAPITAL_E, SMALL_E):
        i += 1
        negative = data[i] == HYPHEN
        i += data[i] in (HYPHEN, PLUS)
        while i < end and is_digit(data[i]):
            exponent = exponent * 10 + (data[i] - ZERO)
            i += 1
        exponent = -exponent if negative else exponent
    return sign * value * 10.0 ** (exponent - scale), i if digits else -1


@kernel(allocates=True)
def _parse(data: Any, order: Any, keys: Any, log10: Any, backoff: Any, shorter: Any) -> Any:
    """Fill the arrays from complete lines; returns the number of lines, or minus the number of an invalid line."""
    words = np.empty(MOST, np.uint64)
    count, i, end = 0, 0, data.shape[0]
    while i < end:
        stop = i
        while stop < end and data[stop] != LINE_FEED:
            stop += 1
        value, i = _number(data, i, stop)
        if i < 0:
            return -count - 1
        log10[count] = value
        for n in range(order):
            while i < stop and data[i] in (SPACE, TAB):
                i += 1
            start = i
            while i < stop and data[i] not in (SPACE, TAB, RETURN):
                i += 1
            if i == start:
                return -count - 1
            words[n] = word_hash(data, start, i)
        while i < stop and data[i] in (SPACE, TAB, RETURN):
            i += 1
        if i < stop:
            value, i = _number(data, i, stop)
            if i < 0:
                return -count - 1
            backoff[count] = value
        key = words[order - 1]
        for n in range(order - 2, -1, -1):
            shorter[count] = key
            key = longer(key, words[n])
        keys[count] = key
        count += 1
        i = stop + 1
    return count
