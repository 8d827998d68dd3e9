"""Words, shingles, signatures and bands: against plain Python, against datasketch, and against theory."""

import random
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash

from pipeline.errors import UserError
from pipeline.filters.dedup.shingles import shingle_hashes
from pipeline.filters.dedup.signatures import NO_KEY
from pipeline.filters.kernels.code_points import ALONE, LETTER, MARK, MAYBE, OTHER, SPACE, UNSPACED, character_table
from pipeline.filters.minhash import (
    MinHasher,
    band_columns,
    band_keys,
    candidate_probability,
    dedup_documents,
    estimate,
    jaccard,
    warm_up,
)

M64 = 2**64 - 1


def slow_words(text: str) -> list[str]:
    """The word rule of `shingles.py`, in the words of its docstring."""
    words: list[str] = []
    open_word = alone = False
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category[0] not in "LMN":
            open_word = alone = False
            continue
        unspaced = category[0] != "M" and category != "Nd" and any(a <= ord(character) <= b for a, b in UNSPACED)
        continues = open_word and not unspaced and (not alone or category[0] == "M")
        if continues:
            words[-1] += character.lower()[0]
        else:
            words.append(character.lower()[0])
            alone = unspaced
        open_word = True
    return words


def slow_fmix(x: int) -> int:
    x = ((x ^ (x >> 33)) * 0xFF51AFD7ED558CCD) & M64
    x = ((x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53) & M64
    return x ^ (x >> 33)


def slow_shingles(text: str, ngram: int) -> list[int]:
    hashes = []
    for word in slow_words(text):
        h = 0
        for character in word:
            h = (((h << 7) | (h >> 57)) + slow_fmix((ord(character) + 0x9E3779B97F4A7C15) & M64)) & M64
        hashes.append(h)
    size = min(ngram, len(hashes))
    found = []
    for start in range(len(hashes) - size + 1 if hashes else 0):
        x = 0
        for h in hashes[start : start + size]:
            x = (x * 0x9E3779B97F4A7C15 + h) & M64
        found.append(slow_fmix(x))
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop_me, 3.5 times!", ["don", "t", "stop", "me", "3", "5", "times"]),
        ("naïve NAI\u0308VE", ["naïve", "naïve"]),
        ("İSTANBUL Straße ΟΔΟΣ", ["istanbul", "straße", "οδοσ"]),
        ("他说hello世界2024年", ["他", "说", "hello", "世", "界", "2024", "年"]),
        ("カタカナとﾊﾟ", ["カ", "タ", "カ", "ナ", "と", "ﾊ", "ﾟ"]),
        ("ภาษาไทย ๑๒๓", ["ภ", "า", "ษ", "า", "ไ", "ท", "ย", "๑๒๓"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("हिन्दी पाठ", ["हिन्दी", "पाठ"]),
        ("\u0301x が", ["\u0301x", "が"]),
        ("か\u3099\u0301a", ["が\u0301", "a"]),
        (" -- \u2026 \U0001f600", []),
    ],
)
def test_the_word_rule(text: str, words: list[str]) -> None:
    assert slow_words(text) == words
    joined = shingle_hashes([" ".join(words)], 1)[0]
    assert shingle_hashes([text], 1)[0].tolist() == joined.tolist() == slow_shingles(text, 1)
    assert joined.size == len(words)


ODD = (
    "aaaaabbbbAZz09    \t\n\x1c\x85\xa0\u2003\u200b\u200d\u00ad.,-_'"
    "éÉèßİıΣςσÅ\u212b\u0344\u0301\u0323\u0302\u0308ȺⱥȾẞǅ\u1ecd\ufb01ªⅣ²"
    "\u1112\u1161\u11ab한글\u0915\u093c\u094d\u09c7\u09be\u0e01\u0e34\u0e49\u0e51中々〇あがか\u3099カー\uff76"
    "😀𐐀𠀀𝐀\ufffd\U000e0100\U0010ffff\ue000"
)


def odd_texts(n: int, longest: int, seed: int) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices(ODD, k=source.randrange(longest))) for _ in range(n)]


@pytest.mark.parametrize("ngram", [1, 2, 5])
def test_shingles_equal_plain_python(ngram: int) -> None:
    texts = odd_texts(3_000, 30, ngram)
    found = shingle_hashes(texts, ngram)
    assert [hashes.tolist() for hashes in found] == [slow_shingles(text, ngram) for text in texts]


def test_every_character_is_classed_as_plain_python_does() -> None:
    texts = [f"A{chr(code)}B {chr(code)}" for code in range(0, 0x110000, 11) if not 0xD800 <= code < 0xE000]
    found = shingle_hashes(texts, 1)
    assert [hashes.tolist() for hashes in found] == [slow_shingles(text, 1) for text in texts]


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("num_hashes", [1, 7, 112])
def test_signatures_equal_plain_python(bits: int, num_hashes: int) -> None:
    hasher = MinHasher(num_hashes, 3, 9, bits)
    a, b = ([int(value) for value in values] for values in hasher.permutations())
    assert all(value % 2 == 1 for value in a)
    texts = odd_texts(60, 40, num_hashes)
    for text, signature in zip(texts, hasher.signatures(texts), strict=True):
        mixed = [slow_fmix(x) if bits == 64 else slow_fmix32(x >> 32) for x in slow_shingles(text, 3)]
        top = 2**bits
        expected = [min([(f * x + t) % top for x in mixed], default=top - 1) for f, t in zip(a, b, strict=True)]
        assert signature.tolist() == expected


def slow_fmix32(x: int) -> int:
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return x ^ (x >> 16)


@pytest.mark.parametrize(("bits", "scheme"), [(64, "affine64"), (32, "affine32")])
@pytest.mark.parametrize(("num_hashes", "seed"), [(112, 1), (128, 7), (9, 123456)])
def test_signatures_and_estimates_equal_datasketch(bits: int, scheme: str, num_hashes: int, seed: int) -> None:
    texts, _ = overlapping_pairs(6, 200, seed=4)
    texts.append("one two")
    ours = MinHasher(num_hashes, 5, seed, bits).signatures(texts)
    assert ours.dtype == np.dtype(f"uint{bits}")
    peers = []
    for hashes in shingle_hashes(texts, 5):
        peer = MinHash(num_hashes, seed, scheme=scheme, hashfunc=lambda value: value)
        peer.update_batch([int(value) >> (64 - bits) for value in hashes])
        peers.append(peer)
    assert [signature.tolist() for signature in ours] == [peer.hashvalues.tolist() for peer in peers]
    for i in range(0, 12, 2):
        assert estimate(ours[i], ours[i + 1]) == pytest.approx(peers[i].jaccard(peers[i + 1]), abs=1e-15)


def overlapping_pairs(
    n: int, shingles: int, seed: int, similarity: float | None = None
) -> tuple[list[str], list[float]]:
    """2n texts of random words, in pairs of a known Jaccard similarity: equal up to a point, then different."""
    source = random.Random(seed)
    texts, similarities = [], []
    for _ in range(n):
        wanted = source.random() if similarity is None else similarity
        shared = round(2 * wanted * shingles / (1 + wanted))  # of `shingles` on each side
        head = [f"w{source.getrandbits(40):x}" for _ in range(shared + 4 if shared else 0)]
        for _ in range(2):
            texts.append(" ".join(head + [f"w{source.getrandbits(40):x}" for _ in range(shingles + 4 - len(head))]))
        similarities.append(shared / (2 * shingles - shared))
    return texts, similarities


def test_jaccard_is_exact() -> None:
    texts, similarities = overlapping_pairs(50, 30, seed=2)
    for i, similarity in enumerate(similarities):
        assert jaccard(texts[2 * i], texts[2 * i + 1]) == similarity
    assert jaccard("a b c d e f g", "A b c d e f h") == 2 / 4
    assert jaccard("a b a b a b", "b a b a b a", ngram=2) == 1.0  # sets, not bags
    assert jaccard("a b", "a b", ngram=5) == 1.0
    assert jaccard("a b", "b a", ngram=5) == 0.0
    assert jaccard("", "") == jaccard("...", "a") == 0.0


@pytest.mark.parametrize("bits", [64, 32])
def test_estimates_have_the_bias_and_variance_of_theory(bits: int) -> None:
    """2,000 pairs, each error in units of its binomial standard error: mean 0 and mean square 1, within 4 standard
    errors of 2,000 draws for the mean (0.09) and 5 for the mean square (0.16; it has heavier tails than the normal)."""
    texts, similarities = overlapping_pairs(2_000, 60, seed=11)
    signatures = MinHasher(num_hashes=112, hash_bits=bits).signatures(texts)
    truth = np.array(similarities)
    errors = estimate(signatures[::2], signatures[1::2]) - truth
    inner = (truth > 0.05) & (truth < 0.95)
    scaled = errors[inner] / np.sqrt(truth[inner] * (1 - truth[inner]) / 112)
    assert abs(scaled.mean()) < 0.09
    assert abs((scaled**2).mean() - 1) < 0.16
    assert np.abs(errors).max() < 0.2


@pytest.mark.parametrize("similarity", [0.5, 0.6, 0.7, 0.75, 0.8, 0.9])
def test_candidates_follow_the_s_curve(similarity: float) -> None:
    """1,000 pairs of one similarity; the rate within 4 standard errors of 1 - (1 - s**8)**14."""
    texts, truth = overlapping_pairs(1_000, 57, seed=round(similarity * 100), similarity=similarity)
    keys = band_keys(MinHasher().signatures(texts), 14, 8)
    rate = (keys[::2] == keys[1::2]).any(axis=1).mean()
    expected = float(candidate_probability(truth[0], 14, 8))
    assert abs(rate - expected) <= 4 * np.sqrt(expected * (1 - expected) / 1_000)


def test_candidate_probability_of_published_settings() -> None:
    """FineWeb 14 x 8, RefinedWeb 450 x 20, duplodocus 20 x 5."""
    at = np.array([0.5, 0.6, 0.7, 0.75, 0.8])
    assert candidate_probability(at, 14, 8).round(2).tolist() == [0.05, 0.21, 0.56, 0.77, 0.92]
    assert candidate_probability(at, 450, 20).round(2).tolist() == [0.0, 0.02, 0.3, 0.76, 0.99]
    assert candidate_probability(0.5, 20, 5).round(2) == 0.47


def test_band_keys_differ_by_band_and_depend_on_nothing_else() -> None:
    signatures = np.tile(np.arange(1, 5, dtype=np.uint64), (2, 3))
    signatures[1, 4] += np.uint64(1)
    keys = band_keys(signatures, 3, 4)
    assert len(set(keys[0].tolist())) == 3
    assert (keys[0] == keys[1]).tolist() == [True, False, True]
    assert band_keys(signatures, 2, 4).tolist() == keys[:, :2].tolist()
    swapped = signatures[:, [1, 0, *range(2, 12)]]
    assert band_keys(swapped, 1, 4)[0, 0] != keys[0, 0]
    assert band_keys(signatures.astype(np.uint32), 3, 4).tolist() == keys.tolist()


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_nulls_wordless_texts_and_slices(kind: pa.DataType, bits: int) -> None:
    texts = ["x y " * 40, None, "", "…!", "one", "cafe\u0301 au lait", None]
    array = pa.array(texts, kind)
    hasher = MinHasher(16, 5, 1, bits)
    signatures = hasher.signatures(array)
    top = 2**bits - 1
    assert (signatures == top).all(axis=1).tolist() == [False, True, True, True, False, False, True]
    assert hasher.signatures(array.slice(1, 5)).tolist() == signatures[1:6].tolist()
    assert hasher.signatures(array.slice(2, 0)).shape == (0, 16)
    assert signatures[5].tolist() == hasher.signatures(["Café, au lait!"])[0].tolist()
    keys = band_keys(signatures, 4, 4)
    assert (keys == NO_KEY).all(axis=1).tolist() == [False, True, True, True, False, False, True]
    columns = band_columns(keys)
    assert list(columns) == ["band_00", "band_01", "band_02", "band_03"]
    for j, column in enumerate(columns.values()):
        assert column.to_pylist() == [None if key == NO_KEY else key for key in keys[:, j].tolist()]
    assert estimate(signatures[1], signatures[2]) == 0
    assert estimate(signatures, signatures).tolist() == [1, 0, 0, 0, 1, 1, 0]


def test_bytes_under_a_null_do_not_matter() -> None:
    offsets = pa.array([0, 3, 6], pa.int32()).buffers()[1]
    hidden = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"abcdef"), pa.array([False, True]).buffers()[1])
    assert MinHasher(8).signatures(hidden).tolist() == MinHasher(8).signatures([None, "def"]).tolist()


def test_bytes_that_are_no_utf8_are_read_without_harm() -> None:
    """Arrow does not check a buffer; a torn character at the very end must not make the kernel read past it."""
    source = random.Random(8)
    for _ in range(300):
        data = bytes(source.choices([0x20, 0x61, 0x80, 0xC3, 0xE4, 0xF0, 0xF4, 0xFF, 0xBF], k=source.randrange(1, 9)))
        offsets = pa.array([0, len(data)], pa.int32()).buffers()[1]
        array = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data))
        assert MinHasher(2).signatures(array).shape == (1, 2)


def test_values_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="1 or more"):
        MinHasher(0)
    with pytest.raises(UserError, match="1 or more"):
        MinHasher(8, 0)
    with pytest.raises(UserError, match="32 or 64"):
        MinHasher(8, hash_bits=16)
    with pytest.raises(UserError, match="3 bands of 3 rows do not fit a signature of 8 values"):
        band_keys(np.zeros((1, 8), np.uint64), 3, 3)
    with pytest.raises(UserError, match="keep must be"):
        dedup_documents(["a"], keep="earliest")


ARTICLE = [f"sentence number {n} of an article that says {n * n} things at some length" for n in range(40)]
TEXTS = [
    "\n".join(ARTICLE[:39]),
    "something else entirely, which nobody has copied so far",
    "\n".join(ARTICLE),
    None,
    "\n\n".join(ARTICLE).upper(),
    "…",
    "!!",
    "\n".join(ARTICLE[1:39]),
    "SOMETHING else entirely,  which nobody has copied so far ",
    "",
]


@pytest.mark.parametrize(
    ("keep", "kept"), [("longest", [4, 5, 6, 8, 9]), ("shortest", [1, 5, 6, 7, 9]), ("first", [0, 1, 5, 6, 9])]
)
def test_dedup_documents(keep: str, kept: list[int]) -> None:
    found = dedup_documents(TEXTS, keep=keep)
    assert found.kept.tolist() == kept
    assert found.clusters.tolist() == [0, 1, 0, 3, 0, 5, 6, 0, 1, 9]
    assert [pair[1] for pair in found.pairs] == [i for i in (0, 1, 2, 4, 7, 8) if i not in kept]
    for i, j, similarity in found.pairs:
        assert i in kept
        assert found.clusters[i] == found.clusters[j]
        assert similarity == jaccard(TEXTS[i] or "", TEXTS[j] or "")


def test_blank_copies_are_exact_copies() -> None:
    found = dedup_documents(["", " ", ".", ","], keep="first")
    assert found.kept.tolist() == [0, 2, 3]
    assert found.pairs == [(0, 1, 1.0)]


def test_dedup_of_nothing() -> None:
    found = dedup_documents([])
    assert (found.kept.size, found.clusters.size, found.pairs) == (0, 0, [])
    warm_up()


def test_dedup_finds_the_pairs_that_all_pairs_finds() -> None:
    """Against exact Jaccard over all pairs: all of 0.95 and more is found, nothing of 0.3 and less."""
    texts, _ = overlapping_pairs(60, 80, seed=21)
    clusters = dedup_documents(texts).clusters
    sets: list[set[int]] = [set(hashes.tolist()) for hashes in shingle_hashes(texts, 5)]
    for i in range(len(texts)):
        for j in range(i):
            similarity = len(sets[i] & sets[j]) / len(sets[i] | sets[j])
            if similarity >= 0.95:
                assert clusters[i] == clusters[j]
            if similarity <= 0.3:
                assert clusters[i] != clusters[j]


def test_the_table_of_code_points_is_that_of_python() -> None:
    """Each entry from its definition, for every 7th code point and all of Latin, Hangul, Thai and the like."""
    joins = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
    for code in range(0x110000):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and parts[0][0] != "<":
            joins.add(int(parts[1], 16))
    table = character_table()
    for code in {*range(0x3100), *range(0xAC00, 0xACFF), *range(0, 0x33480, 7), 0xE0001, 0xE0100} - {
        *range(0xD800, 0xE000)
    }:
        character = chr(code)
        category = unicodedata.category(character)
        if character.isspace():
            kind = SPACE
        elif category[0] in "LN":
            alone = category != "Nd" and any(low <= code <= high for low, high in UNSPACED)
            kind = ALONE if alone else LETTER
        else:
            kind = MARK if category[0] == "M" else OTHER
        stays = code not in joins and unicodedata.is_normalized("NFC", character)
        order = unicodedata.combining(character) if stays else MAYBE
        assert table[code] == ord(character.lower()[0]) | kind << 21 | order << 24, hex(code)
    assert table[0xD800] == 0xD800
