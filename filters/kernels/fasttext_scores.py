"""The labels of many texts by a fastText classifier with quantized rows and hierarchical softmax, such as lid.176.ftz.

fastText itself (Joulin et al. 2016; Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information") takes one text
at a time, makes a string of each n-gram, and finds its row in a hash map of nodes. Here rows lie in one table, n-grams are
hashed in place, and their rows are found by their bucket. The numbers are fastText's own, bit for bit: 32-bit floats, added in
its order.

- **Words** are divided at ASCII white space and zero bytes; the word `</s>` ends a text, and each text ends with it. Words
  that begin with `__label__` do not count.
- A word's rows are its own, if the model knows the word, and those of its **n-grams**: of `shortest` to `longest` characters
  of `<word>`, whose FNV-1a hash modulo `buckets` is a bucket that the model has kept.
- A text's **vector** is the mean of its rows. Each label is a leaf of a binary tree; its probability is the product of the
  branches to it, each the logistic function of the vector's product with the node's row.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import float32, float64, uint8, uint32

from pipeline.filters.kernels.unicode import decode
from pipeline.kernels import inner, kernel

_FNV_START, _FNV_PRIME = 2166136261, 16777619
_LABEL = np.frombuffer(b"__label__", np.uint8)
_END = np.frombuffer(b"</s>", np.uint8)
_LEAST = 1e-5
"""fastText adds it to a probability before it takes the logarithm."""


class Model(NamedTuple):
    """A classifier as the kernel takes it."""

    rows: npt.NDArray[np.float32]
    """(rows, dimensions), a multiple of 8: those of known words, then those of buckets."""
    row_of_bucket: npt.NDArray[np.int32]
    """(buckets,): the row of each bucket that has one."""
    kept: npt.NDArray[np.uint32]
    """A bit for each bucket, 1 if it has a row. Few have one, and the bits fit into the processor's cache."""
    words: npt.NDArray[np.uint8]
    """The known words, one after another."""
    word_ends: npt.NDArray[np.int64]
    """(words + 1,): where each word starts, and the last one ends."""
    word_slots: npt.NDArray[np.int32]
    """A hash table of words, a power of two: the word in each slot, or -1."""
    nodes: npt.NDArray[np.float32]
    """(labels - 1, dimensions): the row of each inner node of the tree."""
    branches: npt.NDArray[np.int32]
    """(labels - 1, 2): the left and right child of each inner node; below the number of labels it is a label."""
    shortest: int
    longest: int


class Room(NamedTuple):
    """What the kernel works in."""

    word: npt.NDArray[np.uint8]
    """The longest text and two more bytes."""
    found: npt.NDArray[np.int32]
    """Rows to add up; more than the n-grams that start at a character."""
    vector: npt.NDArray[np.float32]
    added: npt.NDArray[np.int64]
    """(1,): how many rows have been added up."""
    leaves: npt.NDArray[np.float32]
    """(labels,)"""
    stack: npt.NDArray[np.int32]
    """Nodes of the tree to visit, at most one more than it is deep …"""
    totals: npt.NDArray[np.float32]
    """… and their logarithms of probabilities."""


def room_for(model: Model, longest_text: int) -> Room:
    """Room for texts of so many bytes."""
    labels = len(model.nodes) + 1
    return Room(
        np.empty(longest_text + 2, np.uint8),
        np.empty(4096 + model.longest, np.int32),
        np.empty(model.rows.shape[1], np.float32),
        np.empty(1, np.int64),
        np.empty(labels, np.float32),
        np.empty(labels + 1, np.int32),
        np.empty(labels + 1, np.float32),
    )


@inner
def hash_bytes(data: Any, start: Any, end: Any) -> Any:
    """fastText's FNV-1a hash of bytes, which it takes as signed."""
    code = uint32(_FNV_START)
    for i in range(start, end):
        code = uint32((code ^ _signed(data[i])) * uint32(_FNV_PRIME))
    return code


@inner(forceinline=True)
def _signed(byte: Any) -> Any:
    """A byte as fastText hashes it: the sign fills the higher bits."""
    return uint32(byte) | (uint32(0xFFFFFF00) if byte & uint8(0x80) else uint32(0))


@inner
def _is(data: Any, start: Any, end: Any, words: Any, first: Any, last: Any) -> Any:
    """Whether data[start:end] begins with words[first:last]."""
    if end - start < last - first:
        return False
    for i in range(last - first):  # noqa: SIM110 (a kernel has no generators)
        if data[start + i] != words[first + i]:
            return False
    return True


@inner
def _known(model: Any, data: Any, start: Any, end: Any) -> Any:
    """The row of a word that the model knows, or -1."""
    mask = len(model.word_slots) - 1
    slot = np.int64(hash_bytes(data, start, end)) & mask
    while True:
        word = np.int64(model.word_slots[slot])
        if word < 0:
            return word
        first, last = model.word_ends[word], model.word_ends[word + 1]
        if last - first == end - start and _is(data, start, end, model.words, first, last):
            return word
        slot = (slot + 1) & mask


@inner
def _add_word(model: Any, data: Any, start: Any, end: Any, room: Any, size: Any) -> Any:
    """Add the rows of the word data[start:end] to the `size` rows in room.found, and return how many there are now."""
    known = _known(model, data, start, end)
    if known >= 0:
        room.found[size] = known
        size += 1
    word, length = room.word, end - start + 2
    word[0], word[length - 1] = ord("<"), ord(">")
    for i in range(start, end):
        word[i - start + 1] = data[i]
    buckets = uint32(len(model.row_of_bucket))
    for i in range(length):
        if _continues(word[i]):
            continue
        if size + model.longest >= len(room.found):
            size = _sum_up(model, room, size)
        code = uint32(_FNV_START)
        j = i
        for n in range(1, model.longest + 1):
            if j >= length:
                break
            code = uint32((code ^ _signed(word[j])) * uint32(_FNV_PRIME))
            j += 1
            while j < length and _continues(word[j]):
                code = uint32((code ^ _signed(word[j])) * uint32(_FNV_PRIME))
                j += 1
            if n >= model.shortest and not (n == 1 and (i == 0 or j == length)):
                bucket = code % buckets
                if model.kept[bucket >> uint32(5)] >> (bucket & uint32(31)) & uint32(1):
                    room.found[size] = model.row_of_bucket[bucket]
                    size += 1
    return size


@inner
def _sum_up(model: Any, room: Any, size: Any) -> Any:
    """Add the first `size` rows of room.found to room.vector, one after another, and return 0, how many are left. Eight sums at
    a time stay in registers."""
    vector, rows, found = room.vector, model.rows, room.found
    for d in range(0, len(vector), 8):
        s0, s1, s2, s3 = vector[d], vector[d + 1], vector[d + 2], vector[d + 3]
        s4, s5, s6, s7 = vector[d + 4], vector[d + 5], vector[d + 6], vector[d + 7]
        for i in range(size):
            row = np.int64(found[i])
            s0 += rows[row, d]
            s1 += rows[row, d + 1]
            s2 += rows[row, d + 2]
            s3 += rows[row, d + 3]
            s4 += rows[row, d + 4]
            s5 += rows[row, d + 5]
            s6 += rows[row, d + 6]
            s7 += rows[row, d + 7]
        vector[d], vector[d + 1], vector[d + 2], vector[d + 3] = s0, s1, s2, s3
        vector[d + 4], vector[d + 5], vector[d + 6], vector[d + 7] = s4, s5, s6, s7
    room.added[0] += size
    return 0


@inner(forceinline=True)
def _continues(byte: Any) -> Any:
    """Whether a byte is one of a character after its first."""
    return byte & uint8(0xC0) == uint8(0x80)


@inner(forceinline=True)
def _divides(byte: Any) -> Any:
    """Whether fastText divides words here: at tab, LF, VT, FF, CR, a space, and a zero byte."""
    return byte == 32 or 9 <= byte <= 13 or byte == 0


@inner
def _set_vector(model: Any, data: Any, start: Any, end: Any, room: Any) -> None:
    """Set room.vector to the mean of the rows of a text."""
    vector = room.vector
    for d in range(len(vector)):
        vector[d] = 0
    room.added[0] = 0
    size = 0
    i = start
    while i < end:
        while i < end and _divides(data[i]):
            i += 1
        first = i
        while i < end and not _divides(data[i]):
            i += 1
        if i - first == len(_END) and _is(data, first, i, _END, 0, len(_END)):
            break
        if i > first and not _is(data, first, i, _LABEL, 0, len(_LABEL)):
            size = _add_word(model, data, first, i, room, size)
    room.found[size] = 0  # the row of </s>
    _sum_up(model, room, size + 1)
    share = float32(1.0 / room.added[0])
    for d in range(len(vector)):
        vector[d] *= share


@inner(forceinline=True)
def _log(share: Any) -> Any:
    """The logarithm of a probability, as fastText takes it."""
    return float32(np.log(float64(share) + _LEAST))


@inner
def _descend(model: Any, least: Any, only_best: Any, room: Any) -> Any:
    """Set room.leaves to the logarithm of each label's probability that is at least `least`, also a logarithm; -inf for others.
    Returns the most likely label, or -1. With `only_best`, branches that are less likely than a label found before are left
    out."""
    vector, leaves, stack, totals = room.vector, room.leaves, room.stack, room.totals
    labels = len(leaves)
    for label in range(labels):
        leaves[label] = -np.inf
    best, highest = np.int64(-1), float32(-np.inf)
    stack[0], totals[0], size = 2 * labels - 2, 0, 1
    while size > 0:
        size -= 1
        node, total = np.int64(stack[size]), totals[size]
        if total < least or (only_best and total < highest):
            continue
        if node < labels:
            leaves[node] = total
            if total >= highest:  # of two as likely ones fastText gives the one it comes to last
                best, highest = node, total
            continue
        node -= labels
        product = float32(0)
        for d in range(len(vector)):
            product += model.nodes[node, d] * vector[d]
        right = float32(1.0 / float64(float32(1) + np.exp(-product)))
        left = float32(1.0 - float64(right))
        stack[size], totals[size] = model.branches[node, 1], total + _log(right)
        stack[size + 1], totals[size + 1] = model.branches[node, 0], total + _log(left)
        size += 2
    return best


@kernel
def classify(model: Any, data: Any, starts: Any, ends: Any, least: Any, room: Any, best: Any, shares: Any) -> None:
    """Classify the texts data[starts[i]:ends[i]].

    least: labels that are less probable may be left out.
    best: (texts,), set to the most likely label of each text, -1 for none.
    shares: float32, set to probabilities: of `best` alone if it is (texts, 1), else (texts, labels), 0 for labels left out.
    """
    only_best = shares.shape[1] == 1
    for text in range(len(starts)):
        _set_vector(model, data, starts[text], ends[text], room)
        best[text] = _descend(model, _log(least), only_best, room)
        if only_best:
            shares[text, 0] = np.exp(room.leaves[best[text]]) if best[text] >= 0 else 0
        else:
            for label in range(len(room.leaves)):
                shares[text, label] = np.exp(room.leaves[label])


@kernel
def fill(slots: Any, words: Any, ends: Any) -> None:
    """Put each of the words words[ends[i]:ends[i + 1]] into an empty slot of a hash table."""
    mask = len(slots) - 1
    for word in range(len(ends) - 1):
        slot = np.int64(hash_bytes(words, ends[word], ends[word + 1])) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = word


@kernel
def has_more_capitals(data: Any, starts: Any, ends: Any, cases: Any, mask: Any) -> None:
    """Set mask[i] to whether the text data[starts[i]:ends[i]] has more capitals than small letters. cases: uint8, for each code
    point 1 for a capital and 2 for a small letter."""
    for text in range(len(starts)):
        i, end, balance = starts[text], ends[text], 0
        while i < end:
            code, size = decode(data, i, end)
            case = cases[code]
            balance += (case == 1) - np.int64(case == 2)
            i += size
        mask[text] = balance > 0
