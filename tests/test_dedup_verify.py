"""Stars: against the same rule written in plain Python, and what they promise."""

import random
import unicodedata

import numpy as np
import pytest

from pipeline.filters.dedup.shingles import shingle_hashes
from pipeline.filters.dedup.verify import (
    NEIGHBOURS,
    Words,
    choose,
    choose_verified,
    contenders,
    jaccard_of_sorted,
    share_of_equal,
)
from pipeline.filters.minhash import MinHasher, band_keys, dedup_documents, jaccard

PLENTY = 1 << 20
ANY_KEY = np.zeros(1, np.uint64)


def words(*values: int) -> Words:
    return np.array(values, np.uint64)


def test_similarities() -> None:
    assert jaccard_of_sorted(words(1, 2, 3), words(2, 3, 4)) == 0.5
    assert jaccard_of_sorted(words(), words()) == 0
    assert jaccard_of_sorted(words(), words(1)) == 0
    assert jaccard_of_sorted(words(2**64 - 1), words(2**64 - 1)) == 1
    assert share_of_equal(words(1, 2, 3, 4), words(1, 0, 3, 0)) == 0.5


# Documents 0 … 4 are a chain: each shares four fifths with the next one, less with those further off.
CHAIN = [words(*range(n, n + 9)) for n in range(5)]  # J = 8/10, 7/11, …
TOGETHER = np.zeros(5, np.int32)
APART = np.arange(5, dtype=np.int32)


def test_a_chain_does_not_make_a_cluster() -> None:
    order = np.arange(5)
    found = choose_verified(order, TOGETHER, APART, lambda i: (ANY_KEY, CHAIN[i]), jaccard_of_sorted, 0.8)
    assert found.kept.tolist() == [0, 0, 2, 2, 4]
    assert np.nan_to_num(found.similarity, nan=-1).tolist() == [-1, np.float32(0.8), -1, np.float32(0.8), -1]
    assert not found.exact.any()
    believed = choose(order, TOGETHER, APART)
    assert believed.kept.tolist() == [0, 0, 0, 0, 0]
    assert np.isnan(believed.similarity).all()


def test_the_threshold_itself_is_similar_enough() -> None:
    order = np.arange(5)
    just_over = np.nextafter(0.8, 1)
    found = choose_verified(order, TOGETHER, APART, lambda i: (ANY_KEY, CHAIN[i]), jaccard_of_sorted, float(just_over))
    assert found.kept.tolist() == [0, 1, 2, 3, 4]


def test_the_best_centre_that_is_near_enough_wins() -> None:
    """2 is nearer to 1, but 0 is better and near enough."""
    sets = [words(*range(10)), words(*range(3, 13)), words(*range(1, 11))]
    found = choose_verified(
        np.array([0, 1, 2]), np.zeros(3, int), np.arange(3), lambda i: (ANY_KEY, sets[i]), jaccard_of_sorted, 0.6
    )
    assert found.kept.tolist() == [0, 1, 0]


def test_only_documents_that_share_a_band_are_compared() -> None:
    keys = [words(1, 2), words(1, 3), words(4, 3)]
    same = words(1, 2, 3)
    compared = []

    def similar(a: Words, b: Words) -> float:
        compared.append(1)
        return 1.0

    found = choose_verified(
        np.array([0, 2, 1]), np.zeros(3, int), np.arange(3), lambda i: (keys[i], same), similar, 0.8
    )
    assert found.kept.tolist() == [0, 0, 2]
    assert len(compared) == 1


def test_exact_copies_follow_the_best_of_their_text() -> None:
    """Texts {0, 3} and {1, 2}; 0 is best of all, 2 better than 1; 2 is near 0. 4 is alone in its text, and far."""
    order = np.array([0, 2, 1, 3, 4])
    texts = np.array([0, 1, 1, 0, 4])
    sets = {0: CHAIN[0], 2: CHAIN[1], 4: CHAIN[4]}
    assert contenders(order, TOGETHER, texts).tolist() == [0, 2, 4]
    found = choose_verified(order, TOGETHER, texts, lambda i: (ANY_KEY, sets[i]), jaccard_of_sorted, 0.8)
    assert found.kept.tolist() == [0, 0, 0, 0, 4]
    assert found.exact.tolist() == [False, True, False, True, False]
    assert np.nan_to_num(found.similarity, nan=-1).round(3).tolist() == [-1, np.float32(0.8), np.float32(0.8), 1, -1]


def test_what_an_earlier_run_kept_is_not_compared_but_compared_with() -> None:
    order = np.arange(5)
    found = choose_verified(
        order, TOGETHER, APART, lambda i: (ANY_KEY, CHAIN[i]), jaccard_of_sorted, 0.8, settled=lambda i: i < 2
    )
    assert found.kept.tolist() == [0, 1, 1, 3, 3]


def test_work_is_bounded_where_many_different_documents_share_a_key() -> None:
    n = 3 * NEIGHBOURS
    sets = [words(i) for i in range(n)] + [words(0), words(n - 1)]
    roots, texts = np.zeros(n + 2, int), np.arange(n + 2)
    compared = []

    def similar(a: Words, b: Words) -> float:
        compared.append(1)
        return float(jaccard_of_sorted(a, b))

    found = choose_verified(np.arange(n + 2), roots, texts, lambda i: (ANY_KEY, sets[i]), similar, 0.8)
    assert found.kept[-2:].tolist() == [
        0,
        n + 1,
    ]  # the copy of the 64 best is found, the other one is kept: never wrong
    assert len(compared) <= (n + 2) * NEIGHBOURS


def near_copies(n: int, seed: int) -> list[str]:
    source = random.Random(seed)
    texts: list[str] = []
    for _ in range(n):
        if texts and source.random() < 0.7:
            copy = source.choice(texts).split()
            for _ in range(source.randrange(4)):
                copy[source.randrange(len(copy))] = f"new{source.randrange(1000)}"
            texts.append(" ".join(copy))
        else:
            texts.append(" ".join(f"w{source.randrange(10_000)}" for _ in range(source.randrange(40, 90))))
    return texts


def slow_stars(texts: list[str], threshold: float) -> list[int]:
    """The rule in plain words, over all pairs that share a band."""
    keys = band_keys(MinHasher().signatures(texts), 14, 8)
    order = sorted(range(len(texts)), key=lambda i: (-len(texts[i]), i))
    kept: dict[int, int] = {}
    for i in order:
        near = [c for c in order if kept.get(c) == c and (keys[c] == keys[i]).any()]
        same = [c for c in kept if texts[c] == texts[i]]
        kept[i] = next((kept[c] for c in same), next((c for c in near if jaccard(texts[c], texts[i]) >= threshold), i))
    return [kept[i] for i in range(len(texts))]


@pytest.mark.parametrize("threshold", [0.6, 0.8])
def test_stars_equal_the_slow_rule(threshold: float) -> None:
    texts = near_copies(300, 4)
    expected = slow_stars(texts, threshold)
    found = dedup_documents(texts, threshold=threshold)
    assert found.kept.tolist() == sorted(set(expected))
    assert [(pair[0], pair[1]) for pair in found.pairs] == [(c, i) for i, c in enumerate(expected) if c != i]
    assert min(pair[2] for pair in found.pairs) >= threshold
    believed = dedup_documents(texts, threshold=threshold, verify="none")
    assert len(believed.kept) < len(found.kept)
    assert min(pair[2] for pair in believed.pairs) < threshold


def test_the_order_of_input_changes_nothing() -> None:
    texts = sorted(set(near_copies(200, 9)), key=lambda t: (len(t), t))
    texts = [t + " x" * i for i, t in enumerate(texts)]  # no two of one length: the preference decides alone
    expected = {texts[i] for i in dedup_documents(texts, threshold=0.6).kept}
    for seed in range(3):
        random.Random(seed).shuffle(texts)
        assert {texts[i] for i in dedup_documents(texts, threshold=0.6).kept} == expected


def test_old_then_new_is_both_at_once() -> None:
    """What comes last in the order changes nothing for those before it: a corpus can grow."""
    texts = near_copies(240, 11)
    old = dedup_documents(texts[:120], keep="first")
    joint = dedup_documents(texts, keep="first")
    assert [i for i in joint.kept.tolist() if i < 120] == old.kept.tolist()
    grown = [texts[i] for i in old.kept] + texts[120:]
    again = dedup_documents(grown, keep="first")
    new = {texts.index(grown[i]) for i in again.kept}
    assert new == set(joint.kept.tolist())


def test_signatures_verify_too() -> None:
    texts = near_copies(200, 5)
    signatures = MinHasher().signatures(texts)
    found = dedup_documents(texts, verify="signature")
    for kept, removed, _ in found.pairs:
        assert (signatures[kept] == signatures[removed]).mean() >= 0.8 or texts[kept] == texts[removed]


def test_characters_and_words_find_what_each_can_see() -> None:
    base = "the quick brown fox jumps over the lazy dog and runs away from the old farmer " * 3
    hyphened = base.replace("quick", "quicker")
    assert jaccard(base, hyphened, 5, "words") < jaccard(base, hyphened, 5, "characters")
    a, b = shingle_hashes(["A  b\n", " a B"], 2, "characters")
    assert a.tolist() == b.tolist()
    assert len(a) == 2
    assert len(shingle_hashes(["ab"], 24, "characters")[0]) == 1
    assert shingle_hashes(["", None, " \n"], 3, "characters")[2].size == 0
    assert dedup_documents([base, hyphened], unit="words").kept.tolist() == [0, 1]
    assert dedup_documents([base, hyphened], unit="characters", threshold=0.7).kept.tolist() == [1]


def test_character_shingles_equal_the_normalization_in_plain_python() -> None:
    odd = "aZ \t\u00a0\u3000éÉİßſ\u212b\u0301e\u0323\u0302ȺΣ中か\u3099😀."
    source = random.Random(2)
    texts = ["".join(source.choices(odd, k=source.randrange(9))) for _ in range(3_000)]
    plain = [" ".join("".join(c.lower()[0] for c in unicodedata.normalize("NFC", text)).split()) for text in texts]
    distinct: dict[str, int] = {}
    for normal, hashes in zip(plain, shingle_hashes(texts, 9, "characters"), strict=True):
        assert len(hashes) == (1 if normal else 0)
        if normal:
            assert distinct.setdefault(normal, int(hashes[0])) == int(hashes[0])
    assert len(set(distinct.values())) == len(distinct)
    windows = [len(hashes) for hashes in shingle_hashes(texts, 2, "characters")]
    assert windows == [min(len(p), max(1, len(p) - 1)) for p in plain]
