"""Other implementations' numbers: against plain Python written from their descriptions, on texts full of borderline cases."""

import math
import random
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.filters import families
from pipeline.filters.discovery import family_names
from pipeline.filters.kernels.spacy_tokens import tokenize
from pipeline.filters.signals import all_signals, families_of, measure, need_languages, stored_signals
from pipeline.run.run import Run

Go = Callable[..., tuple[Run, list[str]]]


def texts(count: int) -> list[str]:
    """Texts of few different words, lines and signs, so that all repeat; ASCII words, since these are words for everybody."""
    draw = random.Random(11)
    words = [
        "the",
        "The",
        "of",
        "that",
        "river",
        "bridge",
        "a",
        "#tag",
        "wait…",
        "12",
        "x",
        "(so",
        "Été",
        "WITH",
        "have,",
    ]
    ends = [
        " ",
        " ",
        " ",
        " ",
        " ",
        "\n",
        "\n\n",
        "...\n",
        "...\u00a0 \n",
        ".. .\n",
        "…\n",
        ". . .\n",
        ".\n",
        " \n \n",
        "\n- ",
        "\n• ",
        "\n* ",
        "  ",
        "? ",
        "!\n",
    ]
    made = ["", " ", "\n", "a", "a\n", "\n\na", "a a a a a a"]
    made += ["".join(draw.choice(words) + draw.choice(ends) for _ in range(draw.randrange(120))) for _ in range(count)]
    return made + [text * 3 for text in made[:60]]


TEXTS = texts(300)


def shares(counts: Counter[str], wanted: int) -> list[str]:
    return [one for one, count in counts.items() for _ in range(count) if count >= wanted]


def dolma(text: str) -> dict[str, float]:
    pieces, lines = text.split(), text.split("\n")
    found: dict[str, float] = {
        "dolma_words": len(pieces),
        "dolma_median_word_length": median(map(len, pieces)) if pieces else 0,
        "dolma_symbol_word_ratio": sum("#" in p or "…" in p for p in pieces) / max(len(pieces), 1),
        "dolma_alpha_word_ratio": sum(any(map(str.isalpha, p)) for p in pieces) / max(len(pieces), 1),
        "dolma_stop_words": sum(p in {"the", "be", "to", "of", "and", "that", "have", "with"} for p in pieces),
        "dolma_bullet_line_ratio": sum(line.startswith(("*", "-")) for line in lines) / len(lines),
        "dolma_ellipsis_line_ratio": sum(line.endswith("…") for line in lines) / len(lines),
    }
    many, characters = shares(Counter(lines), 2), sum(map(len, pieces))
    found["dolma_duplicate_line_ratio"] = len(many) / len(lines)
    found["dolma_duplicate_line_char_ratio"] = sum(map(len, many)) / max(characters, 1)
    for n in range(2, 11):
        grams = Counter(zip(*(pieces[k:] for k in range(n)), strict=False))
        sizes = {gram: count * sum(map(len, gram)) for gram, count in grams.items()}
        if n < 5:
            found[f"dolma_top_{n}gram_char_ratio"] = (
                sizes[max(grams, key=lambda g: grams[g])] / characters if grams else 0
            )
        else:
            repeated = sum(size for gram, size in sizes.items() if grams[gram] > 1)
            found[f"dolma_duplicate_{n}gram_char_ratio"] = repeated / sum(sizes.values()) if sizes else math.nan
    return found


def dclm(text: str) -> dict[str, float]:
    pieces, number = text.split(), len(text.split()) or math.nan
    lines = [line for part in text.split("\n") if (line := part.strip())]
    found: dict[str, float] = {
        "dclm_words": sum(p[0].isalnum() for p in pieces),
        "dclm_mean_word_length": sum(map(len, pieces)) / number,
        "dclm_symbol_word_ratio": sum(map(text.count, ("#", "...", ". . .", "…"))) / number,
        "dclm_bullet_line_ratio": sum(line[0] in "●•*-" for line in lines) / (len(lines) or math.nan),
        "dclm_ellipsis_line_ratio": sum(line.endswith(("...", ". . .", "…")) for line in lines)
        / (len(lines) or math.nan),
        "dclm_alpha_word_ratio": sum(any(map(str.isalpha, p)) for p in pieces) / number,
        "dclm_stop_words": sum(p.lower() in {"the", "be", "to", "of", "and", "that", "have", "with"} for p in pieces),
    }
    for name, end in (("line", "\n"), ("paragraph", "\n\n")):
        parts = [part for piece in text.split(end) if (part := piece.strip())]
        many = shares(Counter(parts), 2)
        found[f"dclm_duplicate_{name}_ratio"] = len(many) / (len(parts) or math.nan)
        found[f"dclm_duplicate_{name}_char_ratio"] = sum(map(len, many)) / (sum(map(len, parts)) or math.nan)
    return found | ngrams(re.findall(r"\w+", text), "dclm", longest=True)


def ngrams(words: list[str], family: str, *, longest: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    characters = sum(map(len, words)) or math.nan
    for n in range(2, 11):
        grams = list(zip(*(words[k:] for k in range(n)), strict=False))
        counts = Counter(grams)
        most = max(counts.values(), default=0)
        if n < 5:
            tops = [sum(map(len, gram)) for gram, count in counts.items() if count == most > 1]
            found[f"{family}_top_{n}gram_char_ratio"] = (
                ((max(tops) if longest else tops[0]) if tops else 0) * most / characters
            )
        else:
            places = {i + k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(n)}
            found[f"{family}_duplicate_{n}gram_char_ratio"] = sum(len(words[place]) for place in places) / characters
    return found


def datatrove(text: str) -> dict[str, float]:
    def copies(parts: list[str]) -> list[str]:
        return [part for place, part in enumerate(parts) if part in parts[:place]]

    lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n") if text else []
    filled = [line for line in text.split("\n") if line]
    visible = [line for line in text.split("\n") if line.strip()]
    number = len(visible) or math.nan
    paragraphs = re.split(r"\n{2,}", text.strip()) if text.strip() else []
    tokens = tokenize(text)
    words = [
        token for token in tokens if any(c not in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~…•" or c == "•" for c in token)
    ]
    found: dict[str, float] = {}
    for n in range(2, 11):
        grams = list(zip(*(tokens[k:] for k in range(n)), strict=False))
        if n < 5:
            most = Counter(grams).most_common(1)
            share = sum(len(" ".join(gram)) * count for gram, count in most)
            found[f"datatrove_top_{n}gram_char_ratio"] = share / (len(text) or math.nan)
            continue
        seen, share, at = set(), 0, 0
        while at < len(grams):
            again = grams[at] in seen
            share += again * sum(map(len, grams[at]))
            seen.add(grams[at])
            at += n if again else 1
        found[f"datatrove_duplicate_{n}gram_char_ratio"] = share / (len(text) or math.nan)
    return found | {
        "datatrove_words": len(words),
        "datatrove_mean_word_length": sum(map(len, words)) / (len(words) or math.nan),
        "datatrove_hash_word_ratio": text.count("#") / (len(tokens) or math.nan),
        "datatrove_ellipsis_word_ratio": (text.count("...") + text.count("…")) / (len(tokens) or math.nan),
        "datatrove_stop_words": len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(tokens)),
        "datatrove_sentences": sum(sentences(line) for line in visible),
        "datatrove_alpha_word_ratio": sum(any(map(str.isalpha, t)) for t in tokens) / (len(tokens) or math.nan),
        "datatrove_line_break_word_ratio": text.count("\n") / (len(tokens) or math.nan),
        "datatrove_bullet_line_ratio": sum(line.lstrip()[:1] in ("•", "-") for line in lines)
        / (len(lines) or math.nan),
        "datatrove_ellipsis_line_ratio": sum(line.rstrip().endswith(("...", "…")) for line in lines)
        / (len(lines) or math.nan),
        "datatrove_duplicate_line_ratio": len(copies(filled)) / (len(filled) or math.nan),
        "datatrove_duplicate_line_char_ratio": sum(map(len, copies(filled))) / (len(text) or math.nan),
        "datatrove_duplicate_paragraph_ratio": len(copies(paragraphs)) / (len(paragraphs) or math.nan),
        "datatrove_duplicate_paragraph_char_ratio": sum(map(len, copies(paragraphs))) / (len(text) or math.nan),
        "datatrove_line_punct_ratio": sum(line[-1] in ".!?…" and line[-1] != "…" for line in visible) / number,
        "datatrove_short_line_ratio": sum(len(line) <= 30 for line in visible) / number,
        "datatrove_duplicate_char_ratio": sum(map(len, copies(visible))) / (len(text.replace("\n", "")) or math.nan),
    }


def sentences(line: str) -> int:
    """As spaCy's sentencizer: after a terminal, and whatever punctuation follows, the next token begins another."""
    number, seen = 1, False
    for token in re.findall(r"\S+|\s\s+|[^\S ]", line.strip()):
        for part in tokenize(token) or [token]:
            if part in (".", "!", "?"):
                seen = True
            elif seen and not all(unicodedata.category(c).startswith("P") for c in part):
                number, seen = number + 1, False
    return number


def redpajama(text: str) -> dict[str, float]:
    folded = re.sub("[!-/:-@\\[-`{-~]", "", text).lower()
    words, raw = unicodedata.normalize("NFD", folded).split(), re.findall(r"\w+|[^\w\s]+", text)
    number, pieces = len(words) or math.nan, len(raw) or math.nan
    counts = Counter(words).values()
    lines = re.findall(r"[^\n]*\n|[^\n]+$", text)
    return ngrams(words, "redpajama", longest=False) | {
        "redpajama_word_count": len(words),
        "redpajama_mean_word_length": sum(map(len, words)) / number,
        "redpajama_unique_word_ratio": len(counts) / number,
        "redpajama_unigram_entropy": -sum(c / len(words) * math.log(c / len(words)) for c in counts)
        if words
        else math.nan,
        "redpajama_sentences": len(re.findall(r"\b[^.!?]+[.!?]*", text)),
        "redpajama_symbol_word_ratio": sum(map(text.count, ("#", "...", "…"))) / pieces,
        "redpajama_capital_word_ratio": sum(map(str.isupper, raw)) / pieces,
        "redpajama_ellipsis_line_ratio": sum(line.rstrip().endswith(("...", "…")) for line in lines)
        / (len(lines) or math.nan),
        "redpajama_no_alpha_word_ratio": sum(not re.search("[a-zA-Z]", word) for word in raw) / pieces,
    }


@pytest.mark.parametrize("family", [dolma, dclm, datatrove, redpajama])
def test_the_kernels_count_as_plain_python_does(family: Callable[[str], dict[str, float]]) -> None:
    names = [name for name, signal in all_signals().items() if signal.family == family.__name__]
    found = {name: column.to_pylist() for name, column in measure(pa.array(TEXTS), names).items()}
    for place, text in enumerate(TEXTS):
        expected = family(text)
        assert sorted(expected) == sorted(names)
        for name, value in expected.items():
            assert found[name][place] == pytest.approx(value, nan_ok=True), (name, text)


def test_redpajamas_words_whatever_their_spelling() -> None:
    given = [
        "ΟΔΟΣ οδος οδοσ ΟΔΟΣ» ΟΔ-ΟΣ Σ ΟΔΟΣΑ",  # a sigma's lower case depends on what follows
        "e\u0301gal \u00e9gal \u09df \u09af\u09bc égal",  # two spellings of a letter
        "İzmir i\u0307zmir İZMİR",
        "COVIDא Aא ⅷ Ⅷ ⒶB Ǆ ǅ A1 AªB \U0001d400 Ab _ 漢A ÀÉ",  # which of them are upper case?
        "ascii only...\t\nand. ..\n...",
    ]
    names = [name for name, signal in all_signals().items() if signal.family == "redpajama"]
    for texts in (given, [None, *given, ""]):
        found = {name: column.to_pylist() for name, column in measure(pa.array(texts), names).items()}
        for place, text in enumerate(texts):
            for name, value in redpajama(text).items() if text else ():
                assert found[name][place] == pytest.approx(value, nan_ok=True), (name, text)


@pytest.mark.parametrize(
    "tokens",
    [
        "do|n't at 08:58 or 24/7",
        "mail a@b.org , see https://x.org/a/b?c=d1 now",
        "covid-19 well|-|known 555|-|1234 x|--|y ----z",
        "the U.S. and J. Doe , Inc. and Mr. X. end|.|Next",
        "cat /etc|/|hosts and @name - pre- or -x",
        "x|/|y a|=|b 5|+|6 a|,|b and/or +5 +|x",
        "( they|'d|'ve said|)|. Y'all|'s well you|ll",
        "10|km 5|$ US$|20 3|% 7|m/s \u00b0|C|.",
        ":-)) foo|:) '|'' '|'s .... ..|a a|...|b",
        "\u4f60\u597d\uff0c\u4e16\u754c|\u3002 \u00a9|2020 a|\u2026|b",
        "a|--|b a|---|b a----b a|\u2014|b a|\u2014\u2014|b a\u2014\u2014\u2014b",
    ],
)
def test_tokens_as_spacy_finds_them(tokens: str) -> None:
    """spaCy 3.8's English tokenizer gave these; a bar divides what white space does not."""
    text = tokens.replace("|", "")
    assert tokenize(text) == tokens.replace("|", " ").split()


@pytest.mark.parametrize("unit", ["-", "\u2014", ".", "-.", "a-", "'", "@."])
def test_a_long_run_of_signs_is_read_once(unit: str) -> None:
    """Each would take many minutes if time grew with the square of the length."""
    assert "".join(tokenize(unit * 500_000)) == unit * 500_000


def test_repeats_of_tokens_just_inside_and_outside() -> None:
    thirteen, fourteen = [" ".join(f"w{k}" for k in range(n)) + " " for n in (13, 14)]
    cases = {
        "": 0,
        "one": 1,
        "no no no": 3,
        "a b a b a": 2,
        thirteen * 32: 32,
        thirteen * 31 + "w0": 31,
        fourteen * 40: 1,
    }
    measured = measure(pa.array(list(cases)), ["olmo_token_repeats"])["olmo_token_repeats"].to_pylist()
    assert measured == list(cases.values())


def test_information() -> None:
    text = "to be or not to be " * 20
    found = {
        name: column.to_pylist()
        for name, column in measure(pa.array([text, "abcd", None, ""]), stored_signals(["text"])).items()
    }
    assert found["text_compression_ratio"][0] == len(text) / len(zlib.compress(text.encode(), 1))
    assert found["text_byte_entropy"][1] == 2.0
    assert found["text_byte_entropy"][2] is None
    tokens = ["one two <|endoftext|> three", "<S>one</s> [MASK]", "a < s > b [mark]", "[MASK]"]
    special = measure(pa.array(tokens), ["text_special_token_ratio"])["text_special_token_ratio"].to_pylist()
    assert special == [1 / 4, 3 / 4, 0, 1]  # the names within are words, too
    assert math.isnan(found["text_byte_entropy"][3])


def test_a_family_is_measured_where_it_is_asked_for(tmp_path: Path, go: Go) -> None:
    common = set(stored_signals())
    go(tmp_path / "run", until="quality")
    assert set(pq.read_table(tmp_path / "run" / "ledger" / "quality").column_names) == common
    _, steps = go(tmp_path / "run", ["quality.dolma_words.min=50"], until="quality")
    assert steps == ["quality", "quality.decide"]
    assert set(pq.read_table(tmp_path / "run" / "ledger" / "quality").column_names) == set(stored_signals(["dolma"]))
    _, steps = go(tmp_path / "run", ["quality.dolma_words.min=50", "quality.dolma_stop_words.min=1"], until="quality")
    assert steps == ["quality.decide"]


def test_a_family_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "questions.py").write_text(
        "from pipeline.filters.batch import Batch, FloatArray\n\n\n"
        "def question_marks(docs: Batch) -> FloatArray:\n"
        '    """Question marks."""\n'
        '    return docs.count("?").astype("float64")\n\n\n'
        'SIGNALS = (question_marks,)\nLANGUAGES = ("en",)\n'
    )
    before, names_before = all_signals(), family_names()
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    assert family_names() == tuple(sorted([*names_before, "questions"]))
    added = all_signals()
    assert added.keys() - before.keys() == {"question_marks"}
    assert families_of(["question_marks"]) == ("questions",)
    assert need_languages(["question_marks"])
    assert "question_marks" not in stored_signals()
    assert stored_signals(["questions"])[-1] == "question_marks"
    assert measure(pa.array(["Is it? Is it?"]), ["question_marks"])["question_marks"].to_pylist() == [2]
    monkeypatch.undo()
    assert all_signals() == before
