"""Word lists, and texts of evaluations."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.filters.decontaminate.cuts import collision_cuts, word_places
from pipeline.filters.decontaminate.index import EvaluationIndex
from pipeline.filters.dedup.shingles import word_hashes
from pipeline.filters.models.wordlists import WordLists


def lists(folder: Path) -> Path:
    """Harmless ones, in LDNOOBW's layout."""
    folder.mkdir()
    for name, words in (
        ("en", "frob\nfrob nicator\nbar none\n3p\n"),
        ("de", "quark\n"),
        ("de-AT-x", "topfen\n"),
        ("ja", "東京\nガー\n"),
        ("th", "กขค\n"),
        ("LICENSE", "licence text\n"),
        ("README.md", "readme\n"),
    ):
        (folder / name).write_text(words, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("en", "A frob, and Frob.", 2),
        ("en", "A frobs, unfrob and fro-b", 0),
        ("en", "the frob-nicator", 1),  # the longest entry, once
        ("en", "frob frob nicator nicator", 2),
        ("en", "bar\n none", 1),
        ("en", "bar, and none", 0),
        ("en", "a 3P b", 1),
        ("en", "quark topfen", 0),
        ("de", "Quark und Topfen, frob", 2),
        ("ja", "私は東京にいる", 1),
        ("ja", "東の京、ガーガー", 2),
        ("ja", "東 frob", 0),
        ("th", "xกขคx กข", 1),
        ("en", "", 0),
        ("fr", "frob", None),
    ],
)
def test_listed_words(tmp_path: Path, language: str, text: str, count: int | None) -> None:
    found = WordLists.load(lists(tmp_path / "lists"))
    assert found.languages == ("de", "en", "ja", "th")
    (value,) = found.count([text], pa.array([language]))
    assert (None if np.isnan(value) else value) == count


def test_a_list_without_language_is_for_all(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("frob\n")
    found = WordLists.load(tmp_path / "words.txt")
    counts = found.count(["frob frob x y", "", None], pa.array(["xx", None, "en"]))
    assert counts[:2].tolist() == [2, 0]
    assert np.isnan(counts[2])
    shares = found.share(["frob frob x y", "", None])
    assert shares[0] == 0.5
    assert np.isnan(shares[1:]).all()


def test_lists_that_would_find_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or directory of word lists"):
        WordLists.load(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "LICENSE").write_text("x")
    with pytest.raises(UserError, match="has no word lists"):
        WordLists.load(tmp_path / "empty")
    (tmp_path / "empty" / "en").write_text("\n...\n")
    with pytest.raises(UserError, match="without words"):
        WordLists.load(tmp_path / "empty")


LETTERS = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa".split()  # noqa: SIM905
ITEM = " ".join(LETTERS)  # 16 words: four 13-grams


@pytest.mark.parametrize(
    ("text", "share", "ngrams"),
    [
        (f"Before. {ITEM} After.", 1.0, 4),
        (f"Before: {', '.join(LETTERS).upper()}!", 1.0, 4),  # case and punctuation do not hide it
        (" ".join(LETTERS[:13]), 0.25, 1),  # n words are enough
        (" ".join(LETTERS[:12]), 0.0, 0),  # n - 1 are not
        (" ".join(LETTERS[:12]) + " other " + " ".join(LETTERS[12:]), 0.0, 0),
        (" ".join(LETTERS[:13]) + " other " + " ".join(LETTERS[3:]), 0.5, 2),
        (" ".join(LETTERS[:13]) + " other " + " ".join(LETTERS[:13]), 0.25, 1),  # the same one twice is one
        (" ".join(LETTERS[1:15]), 0.5, 2),
        ("", 0.0, 0),
        (None, 0.0, 0),
    ],
)
def test_planted_items_are_found(text: str | None, share: float, ngrams: int) -> None:
    found = EvaluationIndex([ITEM]).search(["nothing of it here", text])
    assert found.share.tolist() == [0.0, share]
    assert found.ngrams.tolist() == [0, ngrams]
    assert found.items == [[], [(0, share)] if share else []]


def test_words_lie_where_their_hashes_are_from() -> None:
    draw = random.Random(2)
    alphabet = [*"aBé1漢か\u3099\u0301\u0e01\u0e48 -.'_\n가\u1161\u212b"]
    texts = ["".join(draw.choices(alphabet, k=draw.randrange(40))) for _ in range(2_000)]
    for text, hashes in zip(texts, word_hashes(texts), strict=True):
        words = [text[a:b] for a, b in zip(*word_places(text), strict=True)]
        assert [found.tolist() for found in word_hashes(words)] == [[value] for value in hashes.tolist()], text


FILL = "xyz " * 300


def spell(*lengths: int) -> str:
    """The item between texts of so many characters."""
    return f" {ITEM} ".join(FILL[:length] for length in lengths)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (spell(399, 399), [FILL[:200], FILL[199:399]]),  # with the space beside the item 400: 200 go, and 200 stay
        (spell(398, 399), [FILL[199:399]]),
        (spell(399, 398), [FILL[:200]]),
        (spell(398, 398), []),
        (spell(0, 404), [FILL[199:404]]),
        (spell(1000, 650, 500), [FILL[:800], FILL[199:451], FILL[199:500]]),  # and not the "x" at 800
        (spell(1000, 398, 500), [FILL[:800], FILL[199:500]]),  # windows that touch
        (f"{ITEM} {'a' * 150} {'b' * 100} {'ç' * 300}", ["ç" * 300]),  # the rest of a word goes too
        (spell(*[600] * 10), [FILL[:400], *[FILL[199:400]] * 8, FILL[199:600]]),
        (spell(*[600] * 11), []),  # eleven pieces
        ("nothing of it", ["nothing of it"]),
    ],
)
def test_gpt_3_cuts_what_lies_around(text: str, pieces: list[str]) -> None:
    words, _ = EvaluationIndex([ITEM]).occurrences(text)
    cuts = collision_cuts(text, words, ngram=13)
    data = text.encode()
    edges = [0, *(edge for cut in cuts for edge in cut), len(data)]
    left = [data[a:b].decode() for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    assert [piece.strip() for piece in left] == [piece.strip() for piece in pieces]
    assert all(piece[0].isspace() for piece in left[1:])


def test_several_items_in_one_document() -> None:
    half = " ".join(LETTERS[:14])  # two 13-grams, both of ITEM too
    index = EvaluationIndex(["too short", half, ITEM, "x " + ITEM], 13)
    assert (index.short, index.sizes.tolist()) == (1, [0, 2, 4, 5])
    found = index.search([f"so {ITEM} it is"])
    assert found.ngrams.tolist() == [4]
    assert found.items == [[(1, 1.0), (2, 1.0), (3, 0.8)]]
    assert EvaluationIndex(["short one"], 2).search(["a short one", "short, two"]).share.tolist() == [1.0, 0.0]


def test_against_a_plain_search() -> None:
    """Every pair of texts over a small vocabulary: the same shares as sets of tuples give."""
    draw = np.random.default_rng(1)
    texts = [" ".join(draw.choice(LETTERS[:3], size)) for size in draw.integers(0, 12, 60)]

    def grams(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[i : i + 4]) for i in range(len(words) - 3)}

    items, documents = texts[:20], texts[20:]
    found = EvaluationIndex(items, 4).search(pa.array(documents))
    for row, document in enumerate(documents):
        expected = {
            n: len(grams(item) & grams(document)) / len(grams(item))
            for n, item in enumerate(items)
            if grams(item) & grams(document)
        }
        assert dict(found.items[row]) == pytest.approx(expected)
        assert found.share[row] == pytest.approx(max(expected.values(), default=0))
