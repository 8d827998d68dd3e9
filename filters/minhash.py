"""MinHash signatures and locality-sensitive hashing: finding near copies among texts.

A. Broder, "On the resemblance and containment of documents", 1997: the share of equal minima under random permutations
of two sets estimates their Jaccard similarity. Signatures are cut into bands of rows; documents that agree in a whole band
become candidates (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4). Our default, 14 bands of 8
rows over word 5-grams, is FineWeb's (Penedo et al., 2024, section 3.4). Words and shingles: `dedup/shingles.py`.

The permutations are those of datasketch 2.0 ("affine64" and "affine32"; same generator, same seed): a shingle's hash is
mixed once by MurmurHash3's finalizer and then becomes a * x + b modulo 2**64 or 2**32 with odd a, which is a bijection.
Equal shingle hashes give equal signatures there and here. Measured on one core, one step takes 157 ps. The Mersenne prime
2**61 - 1, as in datatrove and datasketch before 2.0, takes 287 ps, and is not the universal family it is taken for, since
a * x overflows 64 bits before the remainder is taken; the true remainder takes 1,359 ps. The price is that no theorem
covers it; `tests/benchmarks/minhash.py` finds no bias and the binomial variance on 13,000 pairs of texts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arguments import at_least, kind_of, one_option, one_text, one_whole_number, text_array
from pipeline.errors import UserError, did_you_mean
from pipeline.filters.dedup import exact
from pipeline.filters.dedup.clusters import cluster, members_of
from pipeline.filters.dedup.keep_policy import best_first, parse_keep
from pipeline.filters.dedup.options import DuplicateOptions, MinHashOptions
from pipeline.filters.dedup.shingles import characters, check_unit, shingle_hashes
from pipeline.filters.dedup.signatures import NO_KEY, fold_bands, sign
from pipeline.filters.dedup.verify import choose, choose_verified, contenders, jaccard_of_sorted, share_of_equal
from pipeline.filters.kernels.arrays import Texts, text_buffers, to_nfc

VERIFIERS = ("exact", "signature", "none")
_MEMORY = 1 << 28  # bytes, for the tables of `dedup_documents`


@dataclass(frozen=True, slots=True)
class MinHasher:
    """Makes signatures of `num_hashes` permutations over `ngram`s of words, or of characters.

    `hash_bits` is 64 or 32: 32-bit signatures are half the size and take 0.7 of the time; their estimates are as good up
    to about 100 million shingles per document (datasketch's documentation). `seed` is as in datasketch.
    """

    num_hashes: int = 112
    ngram: int = 5
    seed: int = 1
    hash_bits: int = 64
    unit: str = "words"

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        for name in ("num_hashes", "ngram", "seed", "hash_bits"):
            one_whole_number(getattr(self, name), name)
        if self.num_hashes < 1 or self.ngram < 1:
            raise UserError(f"num_hashes and ngram must be 1 or more, not {self.num_hashes} and {self.ngram}")
        if self.hash_bits not in (32, 64):
            raise UserError(f"hash_bits must be 32 or 64, not {self.hash_bits}")
        one_option(MinHashOptions, "seed", self.seed)
        check_unit(self.unit)

    def permutations(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The factors a (odd) and terms b, each (num_hashes,) in the signature's type; datasketch's for this seed."""
        dtype = np.dtype(f"uint{self.hash_bits}").type
        generator = np.random.RandomState(self.seed)
        a = generator.randint(0, 1 << (self.hash_bits - 1), self.num_hashes, dtype=dtype) * dtype(2) + dtype(1)
        return a, generator.randint(0, 1 << self.hash_bits, self.num_hashes, dtype=dtype)

    def signatures(self, texts: Texts) -> npt.NDArray[Any]:
        """Signatures (n, num_hashes), uint64 or uint32. A null or a text without words has no signature: all bits are ones."""
        array = text_array(texts)
        out, rows = self._sign(array, is_nfc=False)
        if rows.size:
            out[rows], _ = self._sign(to_nfc(array, rows), is_nfc=True)
        return out

    def _sign(self, texts: pa.Array, *, is_nfc: bool) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """The signatures, and the rows that must be normalized first."""
        a, b = self.permutations()
        data, starts, ends = text_buffers(texts)
        by_character, longest = check_unit(self.unit), int((ends - starts).max(initial=0))
        room = (longest if by_character else longest // 2) + 2
        shingles, mixed, flagged = np.empty(room, np.uint64), np.empty(room, a.dtype), np.zeros(len(texts), np.bool_)
        out = np.empty((len(texts), self.num_hashes), a.dtype)
        sign(
            data, starts, ends, is_nfc, characters(), self.ngram, by_character, a, b, shingles, mixed, flagged, out
        )  # fmt: skip
        return out, np.flatnonzero(flagged)


def band_keys(signatures: npt.NDArray[Any], bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each band of `rows` values, (n, bands); `NO_KEY` throughout for a row without a signature.

    Each band is hashed from its own starting value, so that equal rows in two bands have different keys. Two different
    bands get the same key by chance once in 2**64 pairs.
    """
    if bands < 1 or rows < 1 or bands * rows > signatures.shape[1]:
        raise UserError(f"{bands} bands of {rows} rows do not fit a signature of {signatures.shape[1]} values")
    keys = np.empty((signatures.shape[0], bands), np.uint64)
    fold_bands(np.ascontiguousarray(signatures), bands, rows, keys)
    return keys


def band_columns(keys: npt.NDArray[np.uint64]) -> dict[str, pa.Array]:
    """The keys as the ledger's columns band_00, band_01, …: uint64, null without a signature."""
    missing = keys[:, 0] == NO_KEY if keys.shape[1] else None
    return {f"band_{j:02d}": pa.array(keys[:, j], pa.uint64(), mask=missing) for j in range(keys.shape[1])}


def value_columns(signatures: npt.NDArray[Any], bands: int, rows: int) -> dict[str, pa.Array]:
    """The values of the bands themselves as columns band_00, band_01, …: fixed-size binary, null without a signature.

    They serve as keys; read together, they are the signature.
    """
    missing = ~(signatures != np.iinfo(signatures.dtype).max).any(axis=1)
    valid = pa.array(~missing).buffers()[1] if missing.any() else None
    kind = pa.binary(rows * signatures.itemsize)
    columns = {}
    for j in range(bands):
        values = np.ascontiguousarray(signatures[:, j * rows : (j + 1) * rows])
        columns[f"band_{j:02d}"] = pa.FixedSizeBinaryArray.from_buffers(
            kind, len(values), [valid, pa.py_buffer(values)]
        )
    return columns


def estimate(sig_a: npt.NDArray[Any], sig_b: npt.NDArray[Any]) -> Any:
    """The estimated Jaccard similarity: the share of equal values along the last axis; 0 without a signature.

    Its standard error is sqrt(J * (1 - J) / num_hashes).
    """
    for name, signature in (("sig_a", sig_a), ("sig_b", sig_b)):
        if not isinstance(signature, np.ndarray):
            raise TypeError(f"{name} must be an array of signatures, not {kind_of(signature)}")
    signed = (sig_a != np.iinfo(sig_a.dtype).max).any(axis=-1)
    return (sig_a == sig_b).mean(axis=-1) * signed


def candidate_probability(similarity: Any, bands: int, rows: int) -> Any:
    """The probability that two documents of Jaccard similarity s agree in at least one band: 1 - (1 - s**rows)**bands.

    `similarity` is a number or an array of any shape. ValueError for one outside of 0 to 1, and for bands or rows below 1.
    """
    at_least(bands, "bands")
    at_least(rows, "rows")
    try:
        similarities = np.asarray(similarity, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"similarity must be a number or an array of numbers, not {kind_of(similarity)}") from None
    if not ((similarities >= 0) & (similarities <= 1)).all():
        raise ValueError("similarity must be at least 0 and at most 1")
    return 1 - (1 - similarities**rows) ** bands


def jaccard(a: str, b: str, ngram: int = 5, unit: str = "words") -> float:
    """The exact Jaccard similarity of two texts' sets of shingles; 0 if a text has no words.

    It is exact up to 64-bit hashes: two shingles of a pair collide once in 10**11 pairs of 10,000 shingles each.
    """
    MinHasher(ngram=ngram, unit=unit)  # refuses values that are invalid
    first, second = (np.unique(hashes) for hashes in shingle_hashes([one_text(a, "a"), one_text(b, "b")], ngram, unit))
    return float(jaccard_of_sorted(first, second))


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """What `dedup_documents` found among n texts.

    `kept`: the indices of the texts to keep, ascending. `clusters`: (n,) the smallest index in each text's cluster.
    `pairs`: (kept, removed, exact Jaccard similarity) for each removed text, sorted by removed. With `verify="none"` a
    text may have joined its cluster through a third one, and resemble the kept one little.
    """

    kept: npt.NDArray[np.int64]
    clusters: npt.NDArray[np.int64]
    pairs: list[tuple[int, int, float]]


def dedup_documents(
    texts: Texts,
    *,
    ngram: int = 5,
    bands: int = 14,
    rows: int = 8,
    seed: int = 1,
    unit: str = "words",
    keep: str = "longest",
    verify: str = "exact",
    threshold: float = 0.8,
) -> Duplicates:
    """Exact and near copies among texts in memory, by the same code as a run's duplicates stage.

    `verify`: candidates are compared by the true Jaccard similarity of their shingles ("exact"), by the estimate from
    their signatures ("signature"), or not at all ("none"). A text is removed only if a kept one has a similarity of at
    least `threshold` to it. Numbers have the bounds of the config's [duplicates]: ValueError beyond them.

    `keep` is "longest", "shortest" (in characters; ties go to the first) or "first". A None is
    neither kept nor counted as a copy.
    """
    if keep not in ("longest", "shortest", "first"):
        raise UserError(
            f"keep must be longest, shortest or first, not {keep!r}{did_you_mean(keep, ('longest', 'shortest', 'first'))}"
        )
    if verify not in VERIFIERS:
        raise UserError(f"verify must be {', '.join(VERIFIERS)}, not {verify!r}{did_you_mean(verify, VERIFIERS)}")
    for name, number in (("ngram", ngram), ("bands", bands), ("rows", rows), ("seed", seed), ("threshold", threshold)):
        one_option(DuplicateOptions, name, number)
    array = text_array(texts)
    signatures = MinHasher(bands * rows, ngram, seed, unit=unit).signatures(array)
    keys = band_keys(signatures, bands, rows)
    columns = {"content_hash": exact.content_hashes(array), **band_columns(keys)}
    alive = array.is_valid().to_numpy(zero_copy_only=False)

    bands_only = [name for name in columns if name != "content_hash"]
    texts_of, roots = cluster(lambda name: [columns[name]], "content_hash", bands_only, alive, _MEMORY)
    members = members_of(roots)
    lengths = [len(text or "") for text in array.take(pa.array(members)).to_pylist()]
    order = best_first(members, parse_keep([keep], ()), lambda name: np.array(lengths, np.int64))
    shared = contenders(order, roots, texts_of)
    if verify == "exact":
        hashes_of = shingle_hashes(array.take(pa.array(shared)), ngram, unit)
        sets = {int(row): np.unique(hashes) for row, hashes in zip(shared, hashes_of, strict=True)}
        choice = choose_verified(order, roots, texts_of, lambda i: (keys[i], sets[i]), jaccard_of_sorted, threshold)
    elif verify == "signature":
        choice = choose_verified(order, roots, texts_of, lambda i: (keys[i], signatures[i]), share_of_equal, threshold)
    else:
        choice = choose(order, roots, texts_of)
    best = choice.kept
    kept = best == np.arange(alive.size)
    removed = np.flatnonzero(alive & ~kept)
    smallest = np.full(alive.size, alive.size, np.int64)
    np.minimum.at(smallest, best, np.arange(alive.size))
    same_text = texts_of[removed] == texts_of[best[removed]]
    return Duplicates(
        kept=np.flatnonzero(alive & kept),
        clusters=smallest[best],
        pairs=_pairs(array, best[removed], removed, same_text, ngram, unit),
    )


def _pairs(
    texts: pa.Array,
    kept: npt.NDArray[Any],
    removed: npt.NDArray[np.int64],
    same_text: npt.NDArray[np.bool_],
    ngram: int,
    unit: str,
) -> list[tuple[int, int, float]]:
    rows, indices = np.unique(np.concatenate([kept, removed]), return_inverse=True)
    sets = [np.unique(hashes) for hashes in shingle_hashes(texts.take(pa.array(rows)), ngram, unit)]
    first, second = indices[: kept.size], indices[kept.size :]
    return [
        (int(i), int(j), 1.0 if same else float(jaccard_of_sorted(sets[a], sets[b])))
        for i, j, same, a, b in zip(kept, removed, same_text, first, second, strict=True)
    ]


def warm_up() -> None:
    """Compile the kernels of signatures and content hashes, or load them from Numba's cache, on a tiny batch."""
    exact.warm_up()
    band_keys(MinHasher(8).signatures(["a word or two", "é e\u0301", None]), 2, 4)
