import gzip
import math
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.filters.models import kneser_ney
from pipeline.filters.models.kneser_ney import Options, discounts, train
from pipeline.filters.models.perplexity import NgramModel, read_arpa

WORDS = ["river", "garden", "winter", "letter", "market", "window", "summer", "village"]


def lines(seed: int, count: int) -> list[list[str]]:
    draw = random.Random(seed)
    weights = [2**-k for k in range(len(WORDS))]
    return [draw.choices(WORDS, weights, k=draw.randint(1, 9)) for _ in range(count)]


LINES = lines(1, 300)
TEXTS = pa.array(["\n".join(" ".join(line) for line in LINES[k : k + 7]) for k in range(0, 300, 7)])


def slow_kneser_ney(corpus: list[list[str]], order: int, prune: list[int]) -> dict[tuple[str, ...], float]:
    """Interpolated modified Kneser-Ney as the papers have it: the probability of each n-gram that is not pruned."""
    raw: Counter[tuple[str, ...]] = Counter()
    for line in corpus:
        words = ["<s>", *line, "</s>"]
        for end in range(2, len(words) + 1):
            for n in range(1, min(order, end) + 1):
                raw[tuple(words[end - n : end])] += 1
    before: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for gram in raw:
        before[gram[1:]].add(gram[0])
    adjusted = {g: raw[g] if len(g) == order or g[0] == "<s>" else len(before[g]) for g in raw}
    vocabulary = {word for (word, *rest) in raw if not rest} | {"<unk>"}
    found: dict[tuple[str, ...], float] = {}
    for n in range(1, order + 1):
        mine = {g: a for g, a in adjusted.items() if len(g) == n}
        d = discounts([sum(a == k for a in mine.values()) for k in range(5)])
        total: Counter[tuple[str, ...]] = Counter()
        used: Counter[tuple[str, ...]] = Counter()
        for g, a in mine.items():
            total[g[:-1]] += a
            used[g[:-1]] += a - d[min(a, 3)] if raw[g] > prune[n - 1] else 0  # type: ignore[assignment]
        for g in [*mine, ("<unk>",)] if n == 1 else mine:
            a = mine.get(g, 0)
            if n > 1 and raw[g] <= prune[n - 1]:
                continue
            lower = found[g[1:]] if n > 1 else 1 / len(vocabulary)
            found[g] = (a - d[min(a, 3)]) / total[g[:-1]] + (1 - used[g[:-1]] / total[g[:-1]]) * lower
    return found


def spelt(trained: kneser_ney.Trained) -> dict[tuple[str, ...], tuple[float, float]]:
    """The n-grams of an ARPA file with probability and backoff weight, both log10."""
    found = {}
    for line in "".join(trained.arpa()).splitlines():
        if "\t" in line:
            probability, gram, *weight = line.split("\t")
            found[tuple(gram.split(" "))] = (float(probability), float(weight[0]) if weight else 0.0)
    return found


@pytest.mark.parametrize(("order", "prune"), [(1, ()), (2, ()), (3, ()), (4, (0, 0, 1, 2)), (3, (0, 1))])
def test_probabilities_are_those_of_the_papers(order: int, prune: tuple[int, ...]) -> None:
    limits = [prune[min(n, len(prune) - 1)] if prune else 0 for n in range(order)]
    expected = slow_kneser_ney(LINES, order, limits)
    found = spelt(train([TEXTS], Options(order=order, min_count=1, prune=prune)))
    assert found.pop(("<s>",))[0] == -99
    assert set(found) == set(expected)
    for gram, probability in expected.items():
        assert found[gram][0] == pytest.approx(math.log10(probability), abs=1e-6), gram


def probability(grams: dict[tuple[str, ...], tuple[float, float]], context: tuple[str, ...], word: str) -> float:
    """log10 by the definition of an ARPA file."""
    if (*context, word) in grams:
        return grams[(*context, word)][0]
    if not context:
        return grams[("<unk>",)][0]
    return grams.get(context, (0.0, 0.0))[1] + probability(grams, context[1:], word)


def score(grams: dict[tuple[str, ...], tuple[float, float]], order: int, text: str) -> float:
    total = 0.0
    known = {gram[0] for gram in grams if len(gram) == 1}
    for line in text.split("\n"):
        words = ["<s>", *(word if word in known else "<unk>" for word in line.split(" ")), "</s>"]
        for at in range(1, len(words)):
            total += probability(grams, tuple(words[max(0, at - order + 1) : at]), words[at])
    return total


ODD = ["river garden", "garden river winter\nriver", "zebra river zebra zebra", "river", "window window window village"]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_scores_are_those_of_the_definition(order: int) -> None:
    trained = train([TEXTS], Options(order=order, min_count=1))
    grams = spelt(trained)
    for context in [(), ("river",), ("<s>", "garden"), ("zebra",)][: order + 1]:
        outcomes = {gram[0] for gram in grams if len(gram) == 1} - {"<s>"}
        mass = sum(10 ** probability(grams, context[-order + 1 :] if order > 1 else (), word) for word in outcomes)
        assert mass == pytest.approx(1, abs=1e-5)
    texts = [*ODD, *(" ".join(line) for line in lines(2, 50))]
    scores = trained.model().score(texts)
    assert scores.log10 == pytest.approx([score(grams, order, text) for text in texts], abs=1e-4)
    assert scores.words.tolist() == [len(text.split()) for text in texts]
    assert scores.lines.tolist() == [text.count("\n") + 1 for text in texts]
    assert scores.unknown.tolist()[:5] == [0, 0, 3, 0, 0]


def test_perplexity() -> None:
    model = train([TEXTS], Options(order=3)).model()
    scores = model.score(["River, garden.\n\nRiver!"])
    assert (scores.words[0], scores.lines[0]) == (3, 2)
    usual, strange, *none = model.perplexity(["River, garden.\n\nRiver!", "village zebra village", "...", "", None])
    assert usual == pytest.approx(10 ** (-scores.log10[0] / 5))
    assert usual < strange
    assert np.isnan(none).all()


def test_rare_words_are_unknown() -> None:
    trained = train([pa.array(["a a a b b c", "a b d"])], Options(order=2, min_count=2))
    assert {gram for gram in spelt(trained) if len(gram) == 1} == {("a",), ("b",), ("<s>",), ("</s>",), ("<unk>",)}
    assert ("b", "<unk>") in spelt(trained)


def test_memory_and_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kneser_ney, "_SMALLEST", 64)
    whole = train([TEXTS], Options(order=3), memory=10**9)
    monkeypatch.setattr(kneser_ney, "_CHUNK", 100)
    passes: list[int] = []
    count = kneser_ney._count

    def counting(*arguments: Any) -> Any:
        passes.append(arguments[4])
        return count(*arguments)

    monkeypatch.setattr(kneser_ney, "_count", counting)
    parts = train([TEXTS.slice(0, 5), TEXTS.slice(5)], Options(order=3), memory=3 * 128 * kneser_ney.ROW.itemsize)
    assert passes[-1] > 1
    for name, trained in (("whole", whole), ("parts", parts)):
        trained.model().save(tmp_path / name)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()


def test_a_model_is_saved_and_mapped(tmp_path: Path) -> None:
    trained = train([TEXTS], Options(order=3))
    model = trained.model()
    model.save(tmp_path / "m")
    loaded = NgramModel.load(tmp_path / "m")
    assert (loaded.order, loaded.normalization, loaded.closed) == (3, "words", True)
    assert loaded.about == model.about
    assert loaded.about["ngrams"] == [len(keys) for keys in trained.keys]
    assert (loaded.score(ODD).log10 == model.score(ODD).log10).all()
    content = bytearray((tmp_path / "m").read_bytes())
    content[-100] ^= 1
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        NgramModel.load(tmp_path / "m")
    (tmp_path / "m").write_bytes(b"something else")
    with pytest.raises(UserError, match="not an n-gram model"):
        NgramModel.load(tmp_path / "m")


def test_an_arpa_file_of_ours_scores_as_the_model(tmp_path: Path) -> None:
    trained = train([TEXTS], Options(order=4))
    with gzip.open(tmp_path / "m.arpa.gz", "wt") as file:
        file.writelines(trained.arpa())
    read = read_arpa(tmp_path / "m.arpa.gz", "words")
    assert (read.order, read.closed) == (4, True)
    assert read.score(ODD).log10 == pytest.approx(trained.model().score(ODD).log10, abs=1e-5)


BACKOFF = """\\data\\
ngram 1=5
ngram 2=2
ngram 3=2

\\1-grams:
-99\t<s>\t-0.5
-0.7\t</s>
-0.3\ta\t-0.25
-1.5e0\tb\t-0.125
-.9 c

\\2-grams:
-0.1\t<s> a\t-1
-0.2\ta b\t-0.75

\\3-grams:
-0.05\t<s> a b
-0.04\ta b c

\\end\\
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", [-0.1, -1 - 0.25 - 0.7]),
        ("a b", [-0.1, -0.05, -0.75 - 0.125 - 0.7]),
        ("a b c", [-0.1, -0.05, -0.04, -0.7]),  # "b c" is not listed, "a b c" is
        ("b", [-0.5 - 1.5, -0.125 - 0.7]),
        ("c a", [-0.5 - 0.9, -0.3, -0.25 - 0.7]),
        ("x a", [-0.5 - 100, -0.3, -0.25 - 0.7]),  # no <unk> listed: KenLM's -100
        ("A", [-0.5 - 100, -0.7]),
    ],
)
def test_backoff_by_hand(tmp_path: Path, text: str, expected: list[float]) -> None:
    (tmp_path / "m.arpa").write_text(BACKOFF)
    model = read_arpa(tmp_path / "m.arpa")
    assert not model.closed
    assert model.score([text]).log10[0] == pytest.approx(sum(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("\\data\\", "data"), "not an ARPA file"),
        (("ngram 2=2", "ngram 2=3"), "2-gram 3 is not a valid line"),
        (("\\3-grams:", "\\4-grams:"), "3-grams: is missing"),
        (("-0.2\ta b", "zero\ta b"), "2-gram 2 is not a valid line"),
        (("-0.2\ta b", "-0.2\t<s> a"), "twice"),
    ],
)
def test_a_broken_arpa_file_is_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "m.arpa").write_text(BACKOFF.replace(*change))
    with pytest.raises(UserError, match=message):
        read_arpa(tmp_path / "m.arpa")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"order": 0}, "order 0"), ({"prune": (0, 2, 1)}, "must not decrease"), ({"prune": (1,)}, "must begin with 0")],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train([TEXTS], Options(**options))


def test_no_words() -> None:
    with pytest.raises(UserError, match="no word"):
        train([pa.array(["...", ""])])


def test_the_divergence_of_words() -> None:
    """From the definition: p over the text's words and line ends, q the model's."""
    model = train([TEXTS], Options(order=1, min_count=1)).model()
    grams = spelt(train([TEXTS], Options(order=1, min_count=1)))
    texts = ["river garden\nriver winter", "river river river river", "zebra river zebra", "", None]
    expected = []
    for text in texts[:3]:
        assert text is not None
        tokens = [word if (word,) in grams else "<unk>" for word in text.split()] + ["</s>"] * len(text.split("\n"))
        spelt_tokens = text.split() + ["</s>"] * len(text.split("\n"))
        counts = Counter(spelt_tokens)
        cross = -sum(grams[(token,)][0] for token in tokens) * math.log(10) / len(tokens)
        entropy = -sum(n / len(tokens) * math.log(n / len(tokens)) for n in counts.values())
        expected.append(cross - entropy)
    found = model.divergence(texts).tolist()
    assert found[:3] == pytest.approx(expected, abs=1e-6)
    assert found[1] > found[0]
    assert all(map(math.isnan, found[3:]))
