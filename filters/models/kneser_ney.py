"""Trains an n-gram language model by interpolated modified Kneser-Ney smoothing, as KenLM's lmplz does.

Chen and Goodman 1998 found it the best n-gram model, and CCNet's perplexities use it. Brants et al. 2007 show that stupid
backoff comes close on a trillion words; a reference has a few million, where it does not. The formulas are those of
Heafield et al. 2013, sections 3.2 to 3.4: for an n-gram w1 ... wn with adjusted count a (its occurrences if n is the order or
it begins with <s>, else the number of different words before it) and S the sum of a over its context w1 ... wn-1,

    p(wn | w1 ... wn-1) = (a - D(a)) / S + b(w1 ... wn-1) p(wn | w2 ... wn-1),    b = 1 - sum of (a - D(a)) / S

down to the uniform distribution over the vocabulary. A word that occurs fewer than `min_count` times is <unk>.

Memory. The text is kept on disk as word hashes, 8 bytes per word. N-grams are counted in a table of at most `memory`; if there
are more, in 2, 4, 8, ... passes over that file, each for the n-grams that end in some of the words, with the same result. The
estimate then takes about 100 bytes for each n-gram that `prune` leaves. As in lmplz, `prune` has a count for each order;
n-grams up to that count are removed.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.files import scratch
from pipeline.filters.kernels.arrays import text_buffers
from pipeline.filters.kernels.ascii import LINE_FEED, SPACE
from pipeline.filters.latex import normalize
from pipeline.filters.models.perplexity import (
    BEGIN,
    END,
    MOST,
    NO_PROBABILITY,
    UNKNOWN,
    NgramModel,
    longer,
    make_table,
    special,
    word_hash,
)
from pipeline.kernels import inner, kernel

Keys = npt.NDArray[np.uint64]
_CHUNK = 1 << 20  # words
_SMALLEST = 1 << 16  # rows of the table
ROW = np.dtype([("key", "u8"), ("suffix", "u8"), ("context", "u8"), ("first", "u8"), ("count", "i8"), ("n", "i8")])
_FALLBACK = (0.5, 1.0, 1.5)
"""Discounts for texts too small or too regular to estimate them from counts of counts (lmplz --discount_fallback)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the training."""

    order: int = 5
    """The longest n-grams; CCNet's order (Wenzek et al. 2020, section 3.3)."""
    normalization: str = "words"
    min_count: int = 2
    """Rarer words are <unk>, so that an unknown word has about the probability of a word seen once."""
    prune: tuple[int, ...] = ()
    """N-grams with at most this count are left out, for n = 1, 2, ...; the last count applies to all longer n-grams: (0, 0, 1)
    drops n-grams of three words or more that occur once."""


@dataclass(frozen=True)
class Trained:
    """Probabilities by order, as in an ARPA file."""

    keys: list[Keys]
    log10: list[npt.NDArray[np.float64]]
    backoff: list[npt.NDArray[np.float64]]
    suffix: list[npt.NDArray[np.int64]]
    """The index of the n-gram without its first word among those of order n - 1."""
    first: list[npt.NDArray[np.int64]]
    """The index of its first word in `words`."""
    words: pa.Array
    """The words themselves, in the order of keys[0]."""
    options: Options
    about: dict[str, Any]

    def model(self) -> NgramModel:
        """The model for scoring."""
        table = make_table(*(np.concatenate(parts) for parts in (self.keys, self.log10, self.backoff)))
        return NgramModel(table, order=len(self.keys), normalization=self.options.normalization, about=self.about)

    def arpa(self) -> Iterator[str]:
        """The lines of an ARPA file."""
        yield "\\data\\\n" + "".join(f"ngram {n}={len(keys)}\n" for n, keys in enumerate(self.keys, 1))
        texts, space = self.words, pa.scalar(" ", pa.large_string())
        for n, (log10, backoff) in enumerate(zip(self.log10, self.backoff, strict=True)):
            if n:
                before = self.words.take(pa.array(self.first[n]))
                texts = pc.binary_join_element_wise(before, texts.take(pa.array(self.suffix[n])), space)
            yield f"\n\\{n + 1}-grams:\n"
            last = n + 1 == len(self.keys)
            for text, probability, weight in zip(texts.to_pylist(), log10.tolist(), backoff.tolist(), strict=True):
                yield f"{probability:.8g}\t{text}\n" if last else f"{probability:.8g}\t{text}\t{weight:.8g}\n"
        yield "\n\\end\\\n"


def train(
    texts: Iterable[pa.Array],
    options: Options = Options(),
    memory: int = 2_000_000_000,
) -> Trained:
    """Train on arrays of texts. UserError if they contain no words, or if an option is invalid."""
    if not 1 <= options.order <= MOST:
        raise UserError(f"order {options.order}: must be 1 to {MOST}")
    limits = [options.prune[min(n, len(options.prune) - 1)] if options.prune else 0 for n in range(options.order)]
    if limits[0] != 0:
        raise UserError(f"prune: {list(options.prune)}: must begin with 0; use min_count to leave words out")
    if sorted(limits) != limits:
        raise UserError(f"prune: {list(options.prune)}: counts must not decrease with the order")
    with scratch("ngrams") as folder:
        corpus = _Corpus(folder, texts, options)
        passes = 1
        while (counted := _count(folder, corpus, options.order, limits, passes, memory)) is None:
            passes *= 2
        return _estimate(corpus, counted, options)


class _Corpus:
    """The words of all texts as hashes in a file, with zeros around lines; rare words are <unk>."""

    def __init__(self, folder: Path, texts: Iterable[pa.Array], options: Options) -> None:
        self.path = folder / "words.u64"
        self.data = hashlib.blake2b(digest_size=16)
        self.total = 0
        keys, counts, spelt = np.zeros(0, np.uint64), np.zeros(0, np.int64), pa.array([], pa.large_string())
        vocabularies: list[tuple[Keys, npt.NDArray[np.int64], pa.Array]] = []
        with open(self.path, "wb") as file:
            file.write(bytes(8))
            for array in texts:
                lines = normalize(array, options.normalization, keep_lines=True)
                stream, vocabulary = _words(lines)
                self.data.update(stream.tobytes())
                stream.tofile(file)
                self.total += int(np.count_nonzero(stream))
                vocabularies.append(vocabulary)
                if sum(len(part[0]) for part in vocabularies) > max(len(keys), 1_000_000):
                    keys, counts, spelt = _merge([(keys, counts, spelt), *vocabularies])
                    vocabularies = []
        keys, counts, spelt = _merge([(keys, counts, spelt), *vocabularies])
        if not len(keys):
            raise UserError("the texts to train on contain no words")
        self.begin, self.end, self.unknown = special()
        kept = np.flatnonzero((counts >= options.min_count) & ~np.isin(keys, special()))
        self.keys, self.spelt = keys[kept], spelt.take(pa.array(kept))
        self._replace_rare()

    def _replace_rare(self) -> None:
        stream = np.memmap(self.path, np.uint64, "r+")
        for start in range(0, len(stream), _CHUNK):
            chunk = stream[start : start + _CHUNK]
            indices = np.minimum(np.searchsorted(self.keys, chunk), max(len(self.keys) - 1, 0))
            known = self.keys[indices] == chunk if len(self.keys) else np.zeros(len(chunk), np.bool_)
            chunk[~known & (chunk != 0)] = self.unknown
        stream.flush()

    def chunks(self) -> Iterator[Keys]:
        """Chunks of complete lines, each line with a zero before and after it."""
        stream = np.memmap(self.path, np.uint64, "r")
        start = 0
        while start < len(stream) - 1:
            stop = min(start + _CHUNK, len(stream))
            while stop < len(stream) and stream[stop - 1] != 0:  # on to the end of the line
                line_ends = np.flatnonzero(stream[stop : stop + _CHUNK] == 0)
                stop += int(line_ends[0]) + 1 if len(line_ends) else min(_CHUNK, len(stream) - stop)
            yield np.array(stream[start:stop])
            start = stop - 1


def _words(lines: pa.Array) -> tuple[Keys, tuple[Keys, npt.NDArray[np.int64], pa.Array]]:
    """The hashes of the words, with zeros between lines; and the vocabulary: hashes, counts and the words themselves."""
    data, starts, ends = text_buffers(lines)
    room = int((ends - starts).sum()) + len(lines)
    stream, word_starts, word_ends = np.zeros(room, np.uint64), np.zeros(room, np.int64), np.zeros(room, np.int64)
    used = _hash_lines(data, starts, ends, stream, word_starts, word_ends)
    stream = stream[:used]
    keys, first, counts = np.unique(stream, return_index=True, return_counts=True)
    if len(keys):
        keys, first, counts = keys[1:], first[1:], counts[1:]  # without the zeros
    content = data.tobytes() if len(keys) else b""
    spelt = [content[word_starts[index] : word_ends[index]] for index in first.tolist()]
    return stream, (keys, counts.astype(np.int64), pa.array(spelt, pa.large_binary()).cast(pa.large_string()))


@kernel
def _hash_lines(data: Any, starts: Any, ends: Any, stream: Any, word_starts: Any, word_ends: Any) -> Any:
    """Write the hashes of the words, each line followed by a zero; returns how many numbers are written."""
    count = 0
    for document in range(starts.shape[0]):
        i, last = starts[document], ends[document]
        while i < last:
            start = i
            while i < last and data[i] != SPACE and data[i] != LINE_FEED:
                i += 1
            stream[count], word_starts[count], word_ends[count] = word_hash(data, start, i), start, i
            count += 1
            if i == last or data[i] == LINE_FEED:
                count += 1
            i += 1
    return count


def _merge(
    parts: Sequence[tuple[Keys, npt.NDArray[np.int64], pa.Array]],
) -> tuple[Keys, npt.NDArray[np.int64], pa.Array]:
    """Merge vocabularies into one, by ascending hash."""
    all_keys = np.concatenate([keys for keys, _, _ in parts])
    keys, first, inverse = np.unique(all_keys, return_index=True, return_inverse=True)
    counts = np.bincount(inverse, np.concatenate([counts for _, counts, _ in parts]), len(keys)).astype(np.int64)
    return keys, counts, pa.concat_arrays([spelt for _, _, spelt in parts]).take(pa.array(first))


# --- Counting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Counted:
    """The result of counting: files by order and pass, and how many n-grams of each order have the adjusted counts 1 to 4."""

    files: list[list[Path]]
    frequencies: npt.NDArray[np.int64]


def _count(folder: Path, corpus: _Corpus, order: int, limits: list[int], passes: int, memory: int) -> _Counted | None:
    """Count in this many passes; None if a table would outgrow the memory."""
    files: list[list[Path]] = [[] for _ in range(order)]
    frequencies = np.zeros((order, 5), np.int64)
    for number in range(passes):
        table = np.zeros(_SMALLEST, ROW)
        used = 0
        for chunk in corpus.chunks():
            position = 0
            while True:
                position, used = _add(chunk, position, order, corpus.begin, corpus.end, passes, number, table, used)
                if position == len(chunk):
                    break
                if 3 * table.nbytes > memory and len(table) > _SMALLEST:
                    return None
                table = _grown(table)
        for n in range(1, order + 1):
            np.add(frequencies[n - 1], np.bincount(np.minimum(table["count"][table["n"] == n], 5), minlength=6)[:5],
                   out=frequencies[n - 1])  # fmt: skip
        total = _totals(table, order)
        rows = table[table["n"] > 0]
        kept = total[table["n"] > 0] > np.array([-1, *limits])[rows["n"]]
        for n in range(1, order + 1):
            of_order = rows["n"] == n
            files[n - 1].append(folder / f"{passes}-{number}-{n}.npy")
            np.save(files[n - 1][-1], rows[of_order & kept])
            dropped = rows[of_order & ~kept]
            files[n - 1].append(folder / f"{passes}-{number}-{n}-dropped.npy")
            np.save(files[n - 1][-1], dropped[["context", "count"]])
    return _Counted(files, frequencies)


@inner
def _slot(table: Any, key: Any) -> Any:
    """The slot of a key in the table, or the free slot for it."""
    mask = np.uint64(table.shape[0] - 1)
    slot = key & mask
    while table[slot].key != 0 and table[slot].key != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@kernel(allocates=True)
def _add(
    stream: Any, position: Any, order: Any, begin: Any, end: Any, passes: Any, number: Any, table: Any, used: Any
) -> Any:
    """Count the n-grams that end at stream[position:] in words of this pass; returns where to continue if the table fills up.

    The longest n-gram at a position is counted. If it is new, the n-gram without its first word has one more different word
    before it, so that is counted too, and so on.
    """
    keys, contexts, words = np.zeros(MOST + 1, np.uint64), np.zeros(MOST + 1, np.uint64), np.zeros(MOST + 1, np.uint64)
    size = stream.shape[0]
    while position < size:
        if used + order > table.shape[0] // 2:
            return position, used
        word = stream[position]
        if word == 0:
            if position == 0 or stream[position - 1] == 0:
                position += 1
                continue
            word = end
        if passes > 1 and (word >> np.uint64(20)) % np.uint64(passes) != np.uint64(number):
            position += 1
            continue
        longest, i = 1, position
        keys[1], words[1], contexts[1] = word, word, 0
        while longest < order and (i == position or stream[i] != 0):
            i -= 1
            before = stream[i] if stream[i] != 0 else begin
            contexts[longest + 1] = before if longest == 1 else longer(contexts[longest], before)
            keys[longest + 1] = longer(keys[longest], before)
            longest += 1
            words[longest] = before
        n = longest
        while n > 0:
            slot = _slot(table, keys[n])
            table[slot].count += 1
            if table[slot].key != 0:
                break
            table[slot].key = keys[n]
            table[slot].suffix = keys[n - 1] if n > 1 else np.uint64(0)
            table[slot].context = contexts[n]
            table[slot].first = words[n]
            table[slot].n = n
            used += 1
            n -= 1
        position += 1
    return position, used


def _grown(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    larger = np.zeros(2 * len(table), ROW)
    _move(table, larger)
    return larger


@kernel
def _move(table: Any, larger: Any) -> None:
    """Copy every row of a table into a larger one."""
    for row in range(table.shape[0]):
        if table[row].key != 0:
            larger[_slot(larger, table[row].key)] = table[row]


@kernel(allocates=True)
def _totals(table: Any, order: Any) -> Any:
    """How often each n-gram occurs: the sum over the words that come before it."""
    total = np.zeros(table.shape[0], np.int64)
    for n in range(order, 0, -1):
        for row in range(table.shape[0]):
            if table[row].n == n:
                if total[row] == 0:  # no longer n-gram ends in it
                    total[row] = table[row].count
                if n > 1:
                    total[_slot(table, table[row].suffix)] += total[row]
    return total


# --- Estimating ------------------------------------------------------------------------------------------------------


def discounts(frequencies: Sequence[int]) -> tuple[float, float, float, float]:
    """D(0), D(1), D(2) and D(3 or more), from the numbers of n-grams with counts 1 to 4 (Chen and Goodman 1998, eq. 26)."""
    t1, t2, t3, t4 = (float(frequencies[k]) for k in range(1, 5))
    if min(t1, t2, t3, t4) == 0:
        return (0.0, *_FALLBACK)
    y = t1 / (t1 + 2 * t2)
    values = (1 - 2 * y * t2 / t1, 2 - 3 * y * t3 / t2, 3 - 4 * y * t4 / t3)
    if any(not 0 <= value <= k for k, value in enumerate(values, 1)):
        return (0.0, *_FALLBACK)
    return (0.0, *values)


def _estimate(corpus: _Corpus, counted: _Counted, options: Options) -> Trained:
    vocabulary, spelt = _vocabulary(corpus)
    model = Trained([], [], [], [], [], spelt, options, {})
    below: npt.NDArray[np.float64] = np.zeros(0)
    for n, files in enumerate(counted.files, 1):
        rows = np.concatenate([np.load(file) for file in files[::2]])
        rows = rows[np.argsort(rows["key"])]
        dropped = np.concatenate([np.load(file) for file in files[1::2]])
        discount = np.array(discounts(counted.frequencies[n - 1].tolist()))
        mass = rows["count"] - discount[np.minimum(rows["count"], 3)]
        contexts = model.keys[-1] if n > 1 else np.zeros(1, np.uint64)
        context_index = np.searchsorted(contexts, rows["context"])
        total = np.bincount(context_index, rows["count"], len(contexts))
        dropped_index = np.searchsorted(contexts, dropped["context"])
        in_contexts = contexts[np.minimum(dropped_index, len(contexts) - 1)] == dropped["context"]
        total += np.bincount(dropped_index[in_contexts], dropped["count"][in_contexts], len(contexts))
        rest = 1 - np.divide(
            np.bincount(context_index, mass, len(contexts)), total, out=np.zeros(len(contexts)), where=total > 0
        )
        if n == 1:
            probability = np.full(len(vocabulary), rest[0] / (len(vocabulary) - 1))  # <s> never follows a word
            probability[np.searchsorted(vocabulary, rows["key"])] += mass / total[0]
            keys = vocabulary
            suffix = np.zeros(len(keys), np.int64)
            first = np.arange(len(keys))
        else:
            keys = rows["key"]
            suffix = np.searchsorted(model.keys[-1], rows["suffix"])
            first = np.searchsorted(vocabulary, rows["first"])
            probability = mass / total[context_index] + rest[context_index] * below[suffix]
            model.backoff[-1] = np.log10(np.where(total > 0, np.maximum(rest, 1e-30), 1.0))
        below = probability
        log10 = np.log10(probability)
        if n == 1:
            log10[np.searchsorted(keys, corpus.begin)] = NO_PROBABILITY
        model.keys.append(keys)
        model.log10.append(log10)
        model.backoff.append(np.zeros(len(keys)))
        model.suffix.append(suffix)
        model.first.append(first)
    model.about.update(
        {
            "data": corpus.data.hexdigest(),
            "words": corpus.total,
            "options": asdict(options) | {"prune": list(options.prune)},
        }
    )
    model.about["ngrams"] = [len(keys) for keys in model.keys]
    return model


def _vocabulary(corpus: _Corpus) -> tuple[Keys, pa.Array]:
    """All words that are kept, and <s>, </s> and <unk>, by ascending hash."""
    keys = np.concatenate([corpus.keys, special()])
    order = np.argsort(keys)
    extra = pa.array([word.decode() for word in (BEGIN, END, UNKNOWN)], pa.large_string())
    return keys[order], pa.concat_arrays([corpus.spelt, extra]).take(pa.array(order))
