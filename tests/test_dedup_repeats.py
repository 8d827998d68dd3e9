"""What repeats across a corpus: lines, passages and n-grams, against simple code that compares everything with everything."""

import hashlib
import io
import random
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.filters import lines
from pipeline.filters.batch import Batch
from pipeline.filters.dedup import bloom, repeats, sentences, substrings
from pipeline.filters.dedup.repeats import Keep
from pipeline.filters.kernels import spans, token_spans


def slow_repeats(hashes: list[int], most: int, keep: Keep) -> list[bool]:
    """What goes, by counting in a dict."""
    total, so_far = Counter(hashes), Counter[int]()
    goes = []
    for value in hashes:
        so_far[value] += 1
        over = (so_far if keep == "first" else total)[value] > most
        goes.append(bool(value) and over)
    return goes


@pytest.mark.parametrize("keep", ["first", "none"])
@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("memory", [200, 20_000, 1 << 20])  # many ranges behind a sketch; a few; all at once
def test_repeats_are_those_a_dict_counts(keep: Keep, most: int, memory: int) -> None:
    draw = random.Random(3)
    values = [0, *(draw.getrandbits(63) + 1 for _ in range(3_000))]
    drawn = [values[min(int(draw.expovariate(1 / 900)), 3_000)] for _ in range(6_000)]
    chunks = [np.array(drawn[i : i + 700], np.uint64) for i in range(0, len(drawn), 700)]
    with io.BytesIO() as file:
        marks = repeats.Marks(file)
        repeats.mark_repeats(
            lambda: iter(enumerate(chunks)), marks, at_most=len(drawn), memory=memory, max_count=most, keep=keep
        )
        found = [bool(goes) for i, chunk in enumerate(chunks) for goes in marks.of(i, chunk.size)]
    assert found == slow_repeats(drawn, most, keep)
    assert 0 < sum(found) < len(found)


# cc_net/text_normalizer.py, normalize_for_dedup, in Python's own words
_REMOVED = re.compile(f"[{lines._PUNCTUATION}{''.join(map(chr, [*range(32), *range(127, 160)]))}]")


def ccnet(line: str) -> str:
    line = line.strip()
    return _REMOVED.sub("", re.sub(r"\d", "0", line.lower()))


TEXTS = [
    "One line\n\n  Two  LINES \n\tone\u00a0line\nend",
    "„Größe“ — 12… ٣ İstanbul 100％\nÀ\u0301\x07 x\n\u3000漢字。\n",
    "",
    None,
    "\n",
    "a" * 200 + "\n" + "b" * 55 + "\n" + "c" * 56 + "\n" + "d" * 63 + "\n" + "e" * 64 + "\nȺȺȺȺ",
    "———\n!",
]


@pytest.mark.parametrize(("normalize", "lower"), [(True, False), (False, True), (False, False)])
def test_a_lines_hash_is_the_start_of_its_sha1(normalize: bool, lower: bool) -> None:
    found = lines.find_lines(pa.array(TEXTS), normalize=normalize, lower=lower)
    for i, text in enumerate(TEXTS):
        expected = (text or "").split("\n")
        if expected[-1] == "":
            expected.pop()
        here = slice(found.offsets[i], found.offsets[i + 1])
        data = (text or "").encode()
        assert [data[a:b].decode() for a, b in zip(found.starts[here], found.ends[here], strict=True)] == expected
        for line, value in zip(expected, found.hashes[here].tolist(), strict=True):
            form = ccnet(line).encode() if normalize else line.encode().strip().lower() if lower else line.encode()
            digest = int.from_bytes(hashlib.sha1(form, usedforsecurity=False).digest()[:8], "little")
            assert value == (digest if line.strip() else 0), line


def test_every_character_is_normalized_as_ccnet_does() -> None:
    """But for the capital sigma, which Python writes in two ways."""
    characters = [chr(code) for code in [*range(1, 0xD800), *range(0xE000, 0x20000)] if chr(code) not in "\nΣ"]
    text = "\n".join(f"x{c}x" for c in characters)
    found = lines.find_lines(pa.array([text]))
    for character, value in zip(characters, found.hashes.tolist(), strict=True):
        digest = hashlib.sha1(ccnet(f"x{character}x").encode(), usedforsecurity=False).digest()
        assert value == int.from_bytes(digest[:8], "little"), hex(ord(character))


@pytest.mark.parametrize(
    ("text", "marked", "left"),
    [
        ("a\nb\nc", [0], "b\nc"),
        ("a\nb\nc", [1], "a\nc"),
        ("a\nb\nc", [2], "a\nb"),
        ("a\nb\nc", [1, 2], "a"),
        ("a\nb\nc", [0, 1, 2], ""),
        ("a\nb\n", [1], "a\n"),
        ("a\n\nb", [0, 2], ""),
        ("a", [0], ""),
        ("é\nü", [0], "ü"),
    ],
)
def test_a_line_goes_with_its_break(text: str, marked: list[int], left: str) -> None:
    array = pa.array([text])
    found = lines.find_lines(array)
    marks = np.isin(np.arange(found.hashes.size), marked)
    ranges = lines.cut_lines(found, marks, np.array([len(text.encode())]))
    assert spans.apply(array, ranges).to_pylist() == [left]


FILES = {
    "a.txt": "Menu\nAn article.\n\nMenu\nHome\n",
    "b.txt": "Menu\nAnother article.\n\nhome\nHome",
    "c.txt": "",
    "d.txt": "\nonly here\r\nonly here\n",
}
KEPT = {
    "none": {"a.txt": "An article.\n", "b.txt": "Another article.\nhome\n", "c.txt": "", "d.txt": "only here\r\nonly here\n"},
    "first": {
        "a.txt": "Menu\nAn article.\n\nHome\n",
        "b.txt": "Another article.\nhome\n",
        "c.txt": "",
        "d.txt": "only here\r\nonly here\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("keep", ["none", "first"])
@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_files_without_the_lines_they_share(tmp_path: Path, keep: Keep, memory: int) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_bytes(text.encode())
    outcome = lines.dedup_lines([tmp_path / name for name in FILES], tmp_path / "out", keep, memory=memory)
    assert {file.name: file.read_bytes().decode() for file in (tmp_path / "out").iterdir()} == KEPT[keep]
    assert outcome == {"lines": 13, "kept": sum(text.count("\n") for text in KEPT[keep].values())}


def test_files_of_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_BLOCK", 64)
    draw = random.Random(5)
    files = []
    for name in "ab":
        files.append(tmp_path / name)
        files[-1].write_text("".join(f"line {draw.randrange(200)}{' long' * draw.randrange(30)}\n" for _ in range(300)))
    every = [line for file in files for line in file.read_text().splitlines()]
    lines.dedup_lines(files, tmp_path / "out")
    left = [line for file in files for line in (tmp_path / "out" / file.name).read_text().splitlines()]
    count = Counter(every)
    assert left == [line for line in every if count[line] == 1]


def test_files_that_would_be_lost_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a").write_text("y")
    with pytest.raises(UserError, match="another file has the same name"):
        lines.dedup_lines([tmp_path / "a", tmp_path / "b" / "a"], tmp_path / "out")
    with pytest.raises(UserError, match="where its copy would be written"):
        lines.dedup_lines([tmp_path / "a"], tmp_path)
    with pytest.raises(UserError, match="nothing: no such file"):
        lines.dedup_lines([tmp_path / "nothing"], tmp_path / "out")
    with pytest.raises(UserError, match="first or none, not 'all'"):
        lines.dedup_lines([tmp_path / "a"], tmp_path / "out", "all")  # type: ignore[arg-type]


WEB = [
    "Don't stop... now -- it's 3.5 km, e.g. to x_y!",
    "漢字かな, é\u0301 and\u200bmore\x00text. 1,000.5",
    "",
    None,
    "  \n ¿Qué? «sí» ",
]


def test_tokens_are_those_the_signals_count() -> None:
    found = token_spans.find_tokens(pa.array(WEB))
    counted = Batch.from_arrow(pa.array(WEB)).words.tokens
    assert np.diff(found.offsets).tolist() == counted.tolist()
    pieces = [
        (text or "").encode()[a:b].decode()
        for i, text in enumerate(WEB[:1])
        for a, b in zip(found.starts, found.ends, strict=True)
    ][: counted[0]]
    assert pieces == ["Don't", "stop", "...", "now", "--", "it's", "3.5", "km", ",", "e.g", ".", "to", "x_y", "!"]
    same = token_spans.find_tokens(pa.array(["a b a", "A b"])).hashes.tolist()
    assert same[0] == same[2]
    assert len(set(same)) == 3


def slow_substrings(texts: list[str], n: int, keep: Keep) -> list[str]:
    """Compare every window with every other one."""
    split = [[match.span() for match in re.finditer(r"\S+", text)] for text in texts]
    words = [[text[a:b] for a, b in spans] for text, spans in zip(texts, split, strict=True)]
    places = [(t, i) for t, found in enumerate(words) for i in range(len(found) - n + 1)]
    goes = {(t, i): False for t, found in enumerate(words) for i in range(len(found))}
    for p, (t, i) in enumerate(places):
        others = places[:p] if keep == "first" else places[:p] + places[p + 1 :]
        if any(words[t][i : i + n] == words[u][j : j + n] for u, j in others):
            goes |= {(t, i + k): True for k in range(n)}
    left = []
    for t, text in enumerate(texts):
        starts = [a for a, _ in split[t]] + [len(text)]
        head = text[: starts[0]]
        left.append(head + "".join(text[starts[i] : starts[i + 1]] for i in range(len(words[t])) if not goes[t, i]))
    return left


@pytest.mark.parametrize("keep", ["first", "none"])
@pytest.mark.parametrize("memory", [500, 1 << 20])
def test_repeated_passages_are_those_that_all_pairs_show(keep: Keep, memory: int) -> None:
    draw = random.Random(7)
    passages = [[f"w{draw.randrange(40)}" for _ in range(draw.randrange(3, 14))] for _ in range(6)]
    texts = []
    for _ in range(25):
        parts = [draw.choice(passages) if draw.random() < 0.5 else [f"u{draw.randrange(90)}"] * 2 for _ in range(4)]
        texts.append(draw.choice(["", " "]) + " ".join(word for part in parts for word in part))
    texts += ["", "same same same same same same same", "é é é é é é é"]
    array = pa.array(texts)
    ranges = substrings.repeated_substrings(array, 5, keep, memory=memory)
    assert spans.apply(array, ranges).to_pylist() == slow_substrings(texts, 5, keep)


def test_a_passage_of_one_token_less_stays() -> None:
    passage = [f"t{n}" for n in range(51)]
    for size, cut in ((49, False), (50, True), (51, True)):
        texts = pa.array([" ".join(["a", *passage[:size], "b"]), " ".join(["c", *passage[:size], "d"])])
        left = spans.apply(texts, substrings.repeated_substrings(texts)).to_pylist()
        assert left == [texts[0].as_py(), "c d" if cut else texts[1].as_py()]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("one two; a b c, d", "one two; , d"),
        ("one (a b c) two", "one () two"),
        ("one,a b c two", "one, two"),
        ("a b c d", "d"),
        ("d a b c", "d "),
        ("d a b c a b c e", "d e"),
        ("d a b b c a b c e", "d a b b c e"),
    ],
)
def test_words_are_not_joined_by_a_cut(text: str, left: str) -> None:
    texts = pa.array(["a b c", text])
    assert spans.apply(texts, substrings.repeated_substrings(texts, 3))[1].as_py() == left


def slow_bff(texts: list[str], ngram: int, shortest: int, threshold: float, remove: bloom.Remove) -> list[str]:
    """`bff`'s process_line and process_line_oldboth with a set for the filter."""
    seen: set[tuple[str, ...]] = set()
    left = []
    for text in texts:
        edges = [0, *(i for i, c in enumerate(text) if c == "\n"), len(text)]
        if remove == "document":
            edges = [0, len(text)]
        kept, total, contained = "", 0, 0
        for a, b in pairwise(edges):
            words = text[a:b].split()
            grams = [tuple(words[i : i + ngram]) for i in range(len(words) - ngram + 1)]
            if not grams and words and len(words) >= shortest:
                grams = [tuple(words)]
            here = sum(gram in seen for gram in grams)
            total, contained = total + len(grams), contained + here
            if grams and here / len(grams) > threshold:
                continue
            kept += text[a:b]
            seen |= set(grams)
        if remove == "old-both" and total and contained / total > threshold:
            kept = ""
        left.append(kept)
    return left


@pytest.mark.parametrize("remove", bloom.REMOVE)
@pytest.mark.parametrize(("ngram", "shortest"), [(3, 3), (4, 2), (5, 1)])
def test_seen_ngrams_go_as_with_a_set(remove: bloom.Remove, ngram: int, shortest: int) -> None:
    draw = random.Random(11)
    paragraphs = [" ".join(f"w{draw.randrange(60)}" for _ in range(draw.randrange(1, 12))) for _ in range(15)]
    texts = ["\n".join(draw.choice(paragraphs) for _ in range(draw.randrange(1, 5))) for _ in range(40)]
    texts += ["", "\n\n", "one", "\none\n"]
    array = pa.array(texts)
    for threshold in (0.0, 0.5, 0.8):
        ranges = bloom.dedup_ngrams(
            array, ngram=ngram, min_tokens=shortest, threshold=threshold, false_positives=1e-9, remove=remove
        )
        assert spans.apply(array, ranges).to_pylist() == slow_bff(texts, ngram, shortest, threshold, remove)


def test_the_filter_errs_as_often_as_it_may() -> None:
    """Of 20,000 n-grams that nobody has seen a few are taken for seen: 1 % where the filter is full, 0.2 % on the way."""
    texts = pa.array([" ".join(f"w{n}x{k}" for k in range(3)) for n in range(20_000)])
    ranges = bloom.dedup_ngrams(texts, ngram=5, min_tokens=1, false_positives=0.01, remove="paragraph")
    assert 10 < ranges.starts.size < 120
    assert bloom.filter_bits(1_000, 0.01) == 9586
    assert bloom.filter_hashes(1_000, 9586) == 7


def test_cuts_of_several_kinds_are_one() -> None:
    def ranges(*of: list[tuple[int, int]]) -> spans.Ranges:
        flat = [pair for text in of for pair in text]
        return spans.Ranges(
            np.cumsum([0, *map(len, of)]), np.array([a for a, _ in flat], np.int64), np.array([b for _, b in flat], np.int64)
        )  # fmt: skip

    both = spans.union([ranges([(0, 3), (8, 9)], [], [(1, 2)]), ranges([(2, 4)], [(5, 6)], [(2, 3)])])
    assert [list(zip(*pair, strict=True)) for pair in [(both.starts, both.ends)]] == [[(0, 4), (8, 9), (5, 6), (1, 3)]]
    assert both.offsets.tolist() == [0, 2, 3, 4]
    again = spans.ranges_of(both.column(np.array([True, True, True])))
    assert all((a == b).all() for a, b in zip(again, both, strict=True))
    masked = spans.Ranges(np.zeros(3, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert masked.column(np.array([True, False])).to_pylist() == [[], None]
    texts = pa.array(["abcdefghij", None, "xé"])
    cut = spans.apply(texts, ranges([(0, 4), (8, 9)], [], [(1, 3)]))
    assert cut.to_pylist() == ["efghj", None, "x"]


def test_sentences_are_those_that_the_signal_counts() -> None:
    draw = random.Random(5)
    alphabet = [*"aBé漢。।.!?\"')» \n\u2028\u00a01\u0301\u200b\x07…_-،؟xy "]
    texts = [None, "", *("".join(draw.choices(alphabet, k=draw.randrange(60))) for _ in range(5_000))]
    array = pa.array(texts)
    found = sentences.find_sentences(array)
    assert np.diff(found.offsets).tolist() == Batch.from_arrow(array).words.sentences.tolist()
    assert found.hashes.size > 5_000
    for text in (2, 3, 100):
        data = (texts[text] or "").encode()
        for i in range(found.offsets[text], found.offsets[text + 1]):
            alone = data[found.starts[i] : found.ends[i]]
            assert sentences.find_sentences(pa.array([alone.decode()])).hashes.tolist() == [found.hashes[i]]
            assert not data[found.before[i] : found.starts[i]].decode().strip("\x07\u200b \n\u2028\u00a0")


@pytest.mark.parametrize(
    ("text", "marked", "left"),
    [
        ("Aa. Bb. Cc.", [0], "Bb. Cc."),
        ("Aa. Bb. Cc.", [1], "Aa. Cc."),
        ("Aa. Bb. Cc.", [2], "Aa. Bb."),
        ("Aa. Bb. Cc.", [0, 1, 2], ""),
        ("Aa.\nBb. Cc.\nDd.", [1, 2], "Aa.\nDd."),
        ("Aa.\nBb. Cc.\nDd.", [1], "Aa.\nCc.\nDd."),
        ("Aa.\nBb. Cc.\nDd.", [3], "Aa.\nBb. Cc."),
        ("Aa. Bb.\nCc. Dd.", [1, 2], "Aa. Dd."),
        ("Head\nAa.\nHead\nBb.\n", [0, 1], "Head\nHead\n"),
        ("“Äa.” Bb。漢。 Cc", [0, 2], "Bb。 Cc"),
        ("Aa. \n", [0], ""),
    ],
)
def test_sentences_go_with_the_space_on_one_side(text: str, marked: list[int], left: str) -> None:
    array = pa.array(["Zz.", text])
    found = sentences.find_sentences(array)
    marks = np.isin(np.arange(found.hashes.size), np.array(marked) + 1)
    assert spans.apply(array, sentences.cut_spans(found, marks, 1)).to_pylist() == ["Zz.", left]


def test_many_sentences_are_not_hashed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's `unique` took 20 seconds for a document of 4 MB."""
    monkeypatch.setattr(np, "unique", None)
    monkeypatch.setattr(np, "union1d", None)
    found = sentences.find_sentences(pa.array(["A b! \u6771\u4eac\u3002C d.", "E."]))
    assert found.offsets.tolist() == [0, 3, 4]
