"""The kernels against slow, plain Python on random and hostile texts: every count and every signal, exactly."""

import math
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import regex

from pipeline.filters.batch import Batch
from pipeline.filters.kernels import unicode
from pipeline.filters.kernels.layout import BULLETS, SHORT_LINE, LayoutStatistics
from pipeline.filters.kernels.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS
from pipeline.filters.kernels.words import STOP_WORDS, WordStatistics
from pipeline.filters.signals import measure, stored_signals

# The definitions of `pipeline.filters.kernels.words` once more, as regular expressions.
_UNSPACED = r"[\p{L}&&[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=Complex_Context}\u30FC\uFF70]]"
_L = rf"[\p{{L}}--{_UNSPACED}]"
_N = r"\p{N}"
_X = r"[[\p{M}\p{Cf}]--\u200B]"
_ANY = rf"[{_L}{_N}]"
TOKEN = regex.compile(
    rf"""(?V1x)
    (?P<word> {_ANY} (?: {_ANY} | {_X}
        | (?<= {_L} {_X}*) ['’.·] (?= {_L})
        | (?<= {_N} {_X}*) ['’.,] (?= {_N})
        | (?<= {_ANY} {_X}*) _ (?= {_ANY}) )* )
    | (?P<lone> {_UNSPACED} {_X}* )
    | \. (?: \. | {_X} )* | - (?: - | {_X} )*
    | [^\p{{White_Space}}\p{{Cc}}\u200B\p{{M}}\p{{Cf}}] {_X}*
    """
)
_BREAK = "[\n\v\f\r\x85\u2028\u2029]"
_STERM = regex.compile(r"\p{Sentence_Terminal}")
_ENDED = regex.compile(
    rf"""(?V1)(?:\p{{Sentence_Terminal}}|…)(?:(?:\p{{White_Space}}|{_X})*(?:[\p{{Pe}}\p{{Pf}}"'“‘«‹]|\[\p{{Nd}}*\]))*{_X}*\Z"""
)
_CLOSERS = regex.compile(rf"""(?V1)(?:[\p{{Pe}}\p{{Pf}}"']|\p{{Sentence_Terminal}}|{_X})*(?:\p{{White_Space}}|\Z)""")


def count_sentences(text: str, word_ends: list[int]) -> int:
    breaks = [match.end() for match in re.finditer(_BREAK, text)]
    sentences, begun = 0, 0  # begun: where the sentence under way began
    for match in _STERM.finditer(text):
        at = match.start()
        line = max((end for end in breaks if end <= at), default=0)
        if not any(max(begun, line) < end <= at for end in word_ends):
            continue
        if match.group() in ".!?":
            closing = _CLOSERS.match(text, at + 1)
            if closing is None:
                continue
        sentences += 1
        begun = at
    return sentences


def reference_words(text: str) -> dict[str, int | list[int]]:
    found = list(TOKEN.finditer(text))
    tokens = [match.group() for match in found]
    words = [match.group() for match in found if match["word"] or match["lone"]]
    alphabetic = [match for match in found if regex.search(r"\p{L}", match.group())]
    top, duplicate = [], []
    for n in TOP_NGRAMS:
        grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
        # as datatrove: the most frequent, of several the first
        top.append(len(" ".join(Counter(grams).most_common(1)[0][0])) * max(Counter(grams).values()) if grams else 0)
    for n in DUPLICATE_NGRAMS:
        seen, characters, i = set(), 0, 0
        while i <= len(tokens) - n:
            gram = tuple(tokens[i : i + n])
            if gram in seen:
                characters += len("".join(gram))
                i += n
            else:
                seen.add(gram)
                i += 1
        duplicate.append(characters)
    return {
        "characters": len(text),
        "spaces": len(regex.findall(r"\p{White_Space}", text)),
        "breaks": len(re.findall(_BREAK, text)),
        "letters": len(regex.findall(r"\p{L}", text)),
        "uppercase": len(regex.findall(r"[\p{Lu}\p{Lt}]", text)),
        "digits": len(regex.findall(r"\p{Nd}", text)),
        "tokens": len(tokens),
        "words": len(words),
        "word_characters": sum(map(len, words)),
        "alphabetic": len(alphabetic),
        "stop_words": len({word.lower() for word in words} & set(STOP_WORDS)),
        "hashes": text.count("#"),
        "ellipses": text.count("...") + text.count("…"),
        "curly_brackets": text.count("{"),
        "sentences": count_sentences(text, [match.end() for match in alphabetic]),
        "top": top,
        "duplicate": duplicate,
    }


def reference_layout(text: str) -> dict[str, int]:
    stripped = [
        regex.sub(r"^\p{White_Space}+|\p{White_Space}+$", "", line)
        for line in re.split("\r\n|[\n\v\f\r\x85\u2028\u2029]", text)
    ]
    lines = [line for line in stripped if line]
    paragraphs = [block for block in regex.split("\n{2,}", "\n".join(stripped).strip("\n")) if block]

    def copies(items: list[str]) -> list[str]:
        return [item for i, item in enumerate(items) if item in items[:i]]

    return {
        "lines": len(lines),
        "bullet_lines": sum(line[0] in BULLETS for line in lines),
        "ellipsis_lines": sum(line.endswith(("...", "…")) for line in lines),
        "terminal_lines": sum(bool(_ENDED.search(line)) for line in lines),
        "short_lines": sum(len(line) < SHORT_LINE for line in lines),
        "duplicate_lines": len(copies(lines)),
        "duplicate_line_characters": sum(map(len, copies(lines))),
        "paragraphs": len(paragraphs),
        "duplicate_paragraphs": len(copies(paragraphs)),
        "duplicate_paragraph_characters": sum(map(len, copies(paragraphs))),
    }


def check(array: pa.Array) -> None:
    """Every count of every document of the array (nulls: as an empty text)."""
    batch = Batch.from_arrow(array)
    for i, text in enumerate(array.to_pylist()):
        words, layout = reference_words(text or ""), reference_layout(text or "")
        got = {field: getattr(batch.words, field)[i].tolist() for field in WordStatistics._fields}
        assert got == words, repr(text)
        got = {field: getattr(batch.layout, field)[i].tolist() for field in LayoutStatistics._fields}
        assert got == layout, repr(text)
        assert batch.count("lorem ipsum")[i] == len(re.findall("lorem ipsum", text or "", re.IGNORECASE | re.ASCII))


_ALPHABETS = (
    "ab \n",
    "ab.,'’_-·1 2\n",
    "aB.!?\"')” \n…。！؟。",
    "a.…\"')]”»」』“«[1]2 \u200f\n",
    "the be to of and that have with The\n ",
    "a\u0301\u200d\u00ad\u200b\u0000\u0007\ufeff '.é\u0308 ",
    "漢字ひらカナーｶﾞ゙、。 \na1",
    "ไทยภาษาก็ เำ่ ລາວ ខ្មែរ မြန်မာ བོད་ \n",
    "हिन्दी में। العربية؟ עברית Ελληνικά; Привет.한국어 ",
    "😀👍🏽❤\ufe0f👨\u200d👩\u200d👧 a#{}\U00010400\U0001d7d8\U00020000 ",
    "\r\n\v\f\x85\u2028\u2029\t\xa0\u3000ab",
    "•●*-– a...\n",
    "\U0010fffd\ue000\uffff\u0378a b",
)


def _random_text(rng: random.Random) -> str:
    alphabet = rng.choice(_ALPHABETS) if rng.random() < 0.8 else "".join(_ALPHABETS)
    pieces = [
        "".join(rng.choice(alphabet) for _ in range(rng.choice((1, 1, 2, 3, 6, 20))))
        for _ in range(rng.randrange(1, 9))
    ]
    text = "".join(rng.choice(pieces) + rng.choice(("", " ", "\n", "\n\n")) for _ in range(rng.randrange(60)))
    return text.replace(" the", "\nlorem ipsum ") if rng.random() < 0.1 else text


@pytest.mark.parametrize("seed", range(6))
def test_random_texts(seed: int) -> None:
    rng = random.Random(seed)
    check(pa.array([_random_text(rng) for _ in range(120)]))


def test_any_code_point() -> None:
    rng = random.Random(1)
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = ["".join(rng.choice("aé1 漢.-\n") + chr(rng.choice(codes)) for _ in range(80)) for _ in range(40)]
    edges = [0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]
    check(pa.array([*texts, "".join(map(chr, edges)), *map(chr, edges)]))


def test_odd_texts() -> None:
    check(
        pa.array(
            [
                *("", " ", "\n", "\r\n\r\n", "\t \u3000\xa0", "\u200b", "\u0301", ".", "...", "....", "......", "#"),
                *("a", "a.", "a. ", "a.b", "a.1", "1.a", "1.1", "1..1", "'a'", "a''b", "don't", "a_", "_a_b__c"),
                *("a\r\nb\r\n\r\na\r\n", "a\rb\r\ra", "a\n \nb", "a\n\n\n\na", "  a\na  ", "x\n\ny\nx\n\nx\n\ny\nx"),
                *('He said "no." Yes!? (Ok.) 3.14 e.g. x', "。。漢。字！", "a.\u0301 b", "a.\u200bb", "end.\x00 "),
                *("LOREM IPSUM lorem ipsum Lorem  Ipsumlorem ipsum", "lorem ipsu", "xlorem ipsum"),
                *(
                    " ".join(STOP_WORDS),
                    *STOP_WORDS,
                    *(f"{word}s" for word in STOP_WORDS),
                    "The THE th e tha",
                    "with-that",
                ),
            ]
        )
    )


@pytest.mark.parametrize(
    ("text", "tokens", "words"),
    [
        ("Don't stop: it's 1,000.5 m²!", 7, 5),
        ("a well-known e.g. example.com/path", 9, 6),
        ("snake_case _private_ C++", 7, 3),
        ("wait... --- … ??", 6, 1),
        ("漢字かなカナ and 한국어", 8, 8),
        ("ภาษาไทย", 7, 7),
        ("हिन्दी नमस्ते col·legi l’été", 4, 4),
        ("🎉👍🏽 ok", 4, 1),
    ],
)
def test_words_by_example(text: str, tokens: int, words: int) -> None:
    counts = Batch.from_arrow(pa.array([text])).words
    assert (counts.tokens[0], counts.words[0]) == (tokens, words)


@pytest.mark.parametrize(
    "line",
    [
        "He left.",
        "“He left.”",
        '"He left."',
        "'Did he?'",
        "(He left.)",
        "[He left.]",
        "„Er ging.“",
        "»Er ging.«",
        "« Il part. »",
        "「行った。」",
        "『行った！』",
        "He left.[1]",
        "He left.[12][13]",
        "He left.”[1]",
        "He left…",
        "He left.\u200f",
        "「行った」。",
    ],
)
def test_lines_that_end_a_sentence(line: str) -> None:
    assert Batch.from_arrow(pa.array([line])).layout.terminal_lines.tolist() == [1]


@pytest.mark.parametrize(
    "line",
    ["He left", "He left”", "(He left)", "He left [1]", "left [a.b]", "left. [", "1.2", ". a)", "[1]", ")", "left. b]"],
)
def test_lines_that_do_not_end_a_sentence(line: str) -> None:
    assert Batch.from_arrow(pa.array([line])).layout.terminal_lines.tolist() == [0]


def test_repetition_is_exact_where_ngrams_overlap() -> None:
    rng = random.Random(3)
    texts = ["a " * n for n in range(25)]
    texts += [" ".join(rng.choice("ab") for _ in range(rng.randrange(80))) for _ in range(60)]
    texts += [" ".join(rng.choice("abcdefgh") for _ in range(400)) for _ in range(5)]
    texts += [("one two three four five six seven eight nine ten " * 3).strip(), "x y z " * 40 + "q " + "x y z " * 40]
    check(pa.array(texts))


def test_nulls_slices_and_types() -> None:
    rng = random.Random(4)
    texts = [None if rng.random() < 0.2 else _random_text(rng) for _ in range(60)]
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(texts, kind)
        check(array.slice(7, 20))
        check(array.slice(59))
        assert len(Batch.from_arrow(array.slice(60))) == 0
        chunks = measure(pa.chunked_array([array.slice(0, 9), array.slice(9)]))
        whole = measure(array)
        part = measure(array.slice(7, 20))
        for name, column in whole.items():
            assert column.type == pa.float64()
            assert [value.as_py() is None for value in column] == [text is None for text in texts]
            assert chunks[name].cast(pa.string()).equals(column.cast(pa.string()))
            assert part[name].cast(pa.string()).equals(column.slice(7, 20).cast(pa.string()))


def test_a_null_row_that_owns_bytes_counts_as_nothing() -> None:
    texts = pa.array(["some words here", "hidden words", "more"])
    _, offsets, data = texts.buffers()
    array = pa.Array.from_buffers(pa.string(), 3, [pa.py_buffer(bytes([0b101])), offsets, data])
    assert array.to_pylist() == ["some words here", None, "more"]
    assert Batch.from_arrow(array).words.words.tolist() == [3, 0, 1]
    assert measure(array, ["words"])["words"].to_pylist() == [3.0, None, 1.0]


def test_broken_utf8_reads_nothing_beyond_its_document() -> None:
    """Not Arrow's promise to break, but a Parquet file can hold it; a kernel must neither crash nor look further."""
    raws = [b"ab \xf0\x9f", b"\xff\xfe word", b"\xc3", b"\xf4\xbf\xbf\xbf x", b"\x80\x80 y", b"end"]
    array = pa.array(raws, pa.binary()).view(pa.string())
    batch = Batch.from_arrow(array)
    assert batch.words.characters.tolist() == [5, 7, 1, 3, 4, 3]
    assert batch.words.letters.tolist() == [2, 4, 0, 1, 1, 3]
    alone = [Batch.from_arrow(pa.array([raw], pa.binary()).view(pa.string())).words for raw in raws]
    assert [int(words.words[0]) for words in alone] == batch.words.words.tolist() == [1, 1, 0, 1, 1, 1]


def test_hostile_sizes_cost_no_more_than_their_length() -> None:
    n = 1_000_000  # quadratic work would not end
    long = ["spam " * n, "\n" * n, "a\n" * n, "x" * n, "." * n, "a." * n, "\n".join(map(str, range(n // 5))), "漢" * n]
    batch = Batch.from_arrow(pa.array(long))
    words, layout = batch.words, batch.layout
    assert words.tokens.tolist() == [n, 0, n, 1, 1, 2, n // 5, n]
    assert words.top[0].tolist() == [(n - k + 1) * (5 * k - 1) for k in TOP_NGRAMS]
    # The walk reads the first n-gram, then one token on every n-gram is a copy: it leaps to the end.
    assert words.duplicate[0].tolist() == [(n - 1) // k * k * 4 for k in DUPLICATE_NGRAMS]
    assert layout.lines.tolist() == [1, 0, n, 1, 1, 1, n // 5, 1]
    assert layout.duplicate_lines.tolist() == [0, 0, n - 1, 0, 0, 0, 0, 0]


def test_real_pages() -> None:
    sample = Path(__file__).parents[2] / "shared" / "data" / "reference"
    if not sample.is_dir():
        pytest.skip("no reference texts beside this checkout")
    import gzip

    text = gzip.decompress((sample / "wikitext2-valid.txt.gz").read_bytes()).decode()
    check(pa.array([text[i : i + 3000] for i in range(0, 90_000, 3000)]))


def test_signals_are_these_counts() -> None:
    """Each ratio's numerator and denominator, on a text where all of them differ."""
    text = "Of #1 cats… and 22 dogs {x}.\n\n- Of cats\n- Of cats...\n\nOf #1 cats… and 22 dogs {x}.\n漢字 LOREM ipsum\n- Of cats\n"
    w, y = reference_words(text), reference_layout(text)
    top, duplicate = w["top"], w["duplicate"]
    assert isinstance(top, list)
    assert isinstance(duplicate, list)
    c: dict[str, float] = {key: value for key, value in w.items() if isinstance(value, int)}
    expected = {
        "characters": c["characters"],
        "lines": y["lines"],
        "paragraphs": y["paragraphs"],
        "digit_char_ratio": c["digits"] / c["characters"],
        "whitespace_char_ratio": c["spaces"] / c["characters"],
        "uppercase_letter_ratio": c["uppercase"] / c["letters"],
        "words": c["words"],
        "mean_word_length": c["word_characters"] / c["words"],
        "hash_word_ratio": c["hashes"] / c["words"],
        "ellipsis_word_ratio": c["ellipses"] / c["words"],
        "bullet_line_ratio": y["bullet_lines"] / y["lines"],
        "ellipsis_line_ratio": y["ellipsis_lines"] / y["lines"],
        "alpha_word_ratio": c["alphabetic"] / c["words"],
        "alpha_token_ratio": c["alphabetic"] / c["tokens"],
        "stop_words": c["stop_words"],
        "duplicate_line_ratio": y["duplicate_lines"] / y["lines"],
        "duplicate_paragraph_ratio": y["duplicate_paragraphs"] / y["paragraphs"],
        "duplicate_line_char_ratio": y["duplicate_line_characters"] / c["characters"],
        "duplicate_paragraph_char_ratio": y["duplicate_paragraph_characters"] / c["characters"],
        **{f"top_{n}gram_char_ratio": top[n - 2] / c["characters"] for n in TOP_NGRAMS},
        **{f"duplicate_{n}gram_char_ratio": duplicate[n - 5] / c["characters"] for n in DUPLICATE_NGRAMS},
        "lorem_ipsum": 1,
        "curly_brackets": 2,
        "sentences": c["sentences"],
        "line_punct_ratio": y["terminal_lines"] / y["lines"],
        "short_line_ratio": y["short_lines"] / y["lines"],
        "fineweb_duplicate_line_char_ratio": y["duplicate_line_characters"] / (c["characters"] - c["breaks"]),
        "line_break_word_ratio": c["breaks"] / c["tokens"],
        **dict.fromkeys(("pii_emails", "pii_phones", "pii_ips", "pii_count"), 0.0),  # see test_filters_pii.py
    }
    measured = {name: column[0].as_py() for name, column in measure(pa.array([text])).items()}
    assert measured == expected
    assert tuple(measured) == stored_signals()
    assert len(set(measured.values())) > len(measured) // 2  # the text does tell them apart


def test_undefined_is_nan() -> None:
    counts = {"characters", "lines", "paragraphs", "words", "stop_words", "lorem_ipsum", "curly_brackets", "sentences"}
    counts |= {"pii_emails", "pii_phones", "pii_ips", "pii_count"}
    for name, column in measure(pa.array(["", None])).items():
        value, missing = column.to_pylist()
        assert missing is None
        assert value == 0 if name in counts else math.isnan(value), name
    blank = {name: column[0].as_py() for name, column in measure(pa.array([" \n "])).items()}
    assert math.isnan(blank["mean_word_length"])
    assert math.isnan(blank["line_punct_ratio"])
    assert blank["whitespace_char_ratio"] == 1.0
    assert blank["duplicate_5gram_char_ratio"] == 0.0
    assert np.isfinite(blank["top_2gram_char_ratio"])


def test_characters_beyond_the_assigned_ranges_have_no_properties() -> None:
    """So the table of classes need not look at them: of every property, the whole of Unicode has no more than the ranges."""
    characters = unicode.every_character()
    edges = [0, *(bound for bounds in unicode.ASSIGNED for bound in bounds), len(characters)]
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        for pattern, _ in unicode._PROPERTIES:
            assert not regex.search(f"(?V1){pattern}", characters[first:end])
    for first, end in unicode.ASSIGNED:
        assert unicode.character_classes()[first:end].any()
