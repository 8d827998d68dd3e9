"""The published rules, each with a text just inside and a text just outside; and the functions people call."""

import string
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.filters import c4, fineweb, gopher
from pipeline.filters.discovery import common_modules, family_names
from pipeline.filters.rules import Rule, check_signals
from pipeline.filters.signals import all_signals, families_of, measure, warm_up
from pipeline.filters.verdicts import evaluate


def _distinct(n: int, length: int = 5) -> list[str]:
    """`n` different words of so many letters, none of them a stop word."""

    def words() -> Iterator[str]:
        for i in range(n):
            word = ""
            for _ in range(length):
                i, letter = divmod(i, 26)
                word += string.ascii_lowercase[letter]
            yield word[::-1]

    return list(words())


def _words(n: int, length: int = 5) -> str:
    return " ".join(_distinct(n, length))


GOOD = "the of " + _words(98)  # fails no rule of Gopher


def _lines(n: int, special: int, make: Callable[[str], str]) -> str:
    words = _distinct(2 * n)
    lines = [f"{words[2 * i]} the of {words[2 * i + 1]}" for i in range(n)]
    return "\n".join(make(line) if i < special else line for i, line in enumerate(lines))


def _copies(n: int, copies: int, separator: str) -> str:
    """`n` short texts, `copies` of them copies of an earlier one; a long first one keeps the copies' characters few."""
    words = _distinct(n + 1000, 6)
    first = "the of " + " ".join(words[n:])
    return separator.join([first, *words[: n - copies - 1], *[words[0]] * copies])


def _padded(repeated: str, times: int, characters: int) -> str:
    """A text of exactly so many characters in which `repeated` occurs so many times, apart; the rest is distinct."""
    words = iter(_distinct(20_000, 6))
    text = " ".join(part for _ in range(times) for part in (repeated, next(words)))
    while len(text) < characters - 8:
        text += " " + next(words)
    return text + " " + "z" * (characters - len(text) - 1)


# signal.bound: (kept, dropped)
GOPHER = {
    "words.min": ("the of " + _words(48), "the of " + _words(47)),
    "words.max": ("the of " + _words(99_998), "the of " + _words(99_999)),
    "mean_word_length.min": (_words(40, 3) + " of that", _words(40, 3) + " of the"),
    "mean_word_length.max": (_words(98, 10) + " then of it " + "a" * 31, _words(98, 10) + " the of " + "a" * 26),
    "hash_word_ratio.max": (GOOD + " " + "# " * 10, GOOD + " " + "# " * 11),
    "ellipsis_word_ratio.max": (GOOD + " " + "… " * 10, GOOD + " " + "... " * 11),
    "bullet_line_ratio.max": (_lines(40, 36, lambda line: "• " + line), _lines(40, 37, lambda line: " - " + line)),
    "ellipsis_line_ratio.max": (
        _lines(40, 12, lambda line: line + " x y z..."),
        _lines(40, 13, lambda line: line + " x y z… "),
    ),
    "alpha_word_ratio.min": (GOOD + " " + "77 " * 25 + "! " * 30, GOOD + " " + "77 " * 26),
    "stop_words.min": ("The the OF " + _words(97), "the the The " + _words(97)),
    "duplicate_line_ratio.max": (_copies(100, 30, "\n"), _copies(100, 31, "\n")),
    "duplicate_paragraph_ratio.max": (_copies(100, 30, "\n\n"), _copies(100, 31, "\n\n")),
}


@pytest.mark.parametrize("name", GOPHER)
def test_gopher_just_inside_and_just_outside(name: str) -> None:
    kept, dropped = GOPHER[name]
    rules = [rule for rule in gopher.GOPHER_QUALITY + gopher.GOPHER_REPETITION if name.startswith(f"{rule.signal}.")]
    verdicts = gopher.evaluate([kept, dropped], rules)
    assert verdicts.reasons == [[], [name]], verdicts.signals
    assert verdicts.kept.tolist() == [True, False]


def _repeated_lines(share: float, separator: str) -> str:
    """1,000 characters; copies of one line (or paragraph) of 20 make up this share."""
    line = "the same line again."
    copies = round(share * 1000) // len(line)
    rest = 1000 - (copies + 1) * (len(line) + len(separator))
    return separator.join([line] * (copies + 1) + ["y" * rest])


@pytest.mark.parametrize(("kind", "separator"), [("line", "\n"), ("paragraph", "\n\n")])
def test_gopher_duplicate_characters(kind: str, separator: str) -> None:
    rule = next(rule for rule in gopher.GOPHER_REPETITION if rule.signal == f"duplicate_{kind}_char_ratio")
    texts = [_repeated_lines(0.20, separator), _repeated_lines(0.22, separator)]
    assert [len(text) for text in texts] == [1000, 1000]
    verdicts = gopher.evaluate(texts, [rule])
    assert verdicts.signals[rule.signal].tolist() == [0.20, 0.22]
    assert verdicts.reasons == [[], [f"{rule.signal}.max"]]


@pytest.mark.parametrize(
    ("signal", "n", "percent"),
    [
        *((f"top_{n}gram_char_ratio", n, p) for n, p in ((2, 20), (3, 18), (4, 16))),
        *((f"duplicate_{n}gram_char_ratio", n, 20 - n) for n in range(5, 11)),
    ],
)
def test_gopher_ngrams_at_their_bound(signal: str, n: int, percent: int) -> None:
    """An n-gram whose (repeated) occurrences are exactly the bound's share of a text, and a text one shorter."""
    top = signal.startswith("top")
    gram = " ".join(_distinct(30_000, 4)[-n:])
    size = len(gram) if top else len(gram.replace(" ", ""))
    times = 25 * percent  # occurrences that count: size * times characters, percent % of a round length
    length = 25 * 100 * size
    text = _padded(gram, times if top else times + 1, length)
    assert len(text) == length
    rule = next(rule for rule in gopher.GOPHER_REPETITION if rule.signal == signal)
    assert rule.max == percent / 100
    verdicts = gopher.evaluate([text, text[:-1]], [rule])
    assert verdicts.signals[signal][0] == pytest.approx(percent / 100, abs=1e-15)
    assert verdicts.signals[signal][1] > percent / 100
    assert verdicts.reasons == [[], [f"{signal}.max"]]


def test_gopher_keeps_an_ordinary_text() -> None:
    verdicts = gopher.evaluate([GOOD, None, ""])
    assert verdicts.kept.tolist() == [True, False, False]
    assert verdicts.reasons == [[], [], ["words.min", "stop_words.min"]]
    assert set(verdicts.signals) == {rule.signal for rule in gopher.GOPHER_QUALITY + gopher.GOPHER_REPETITION}


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("One is here. Two is here! Three?", []),
        ("One is here. Two is here! Three", ["sentences.min"]),
        ("One. Two. Three. }", []),
        ("One. Two. Three. {", ["curly_brackets.max"]),
        ("One. Two. Three. Lorem dolor ipsum.", []),
        ("One. Two. Three. LOREM Ipsum dolor.", ["lorem_ipsum.max"]),
        ("Home\nAbout us\nlorem ipsum {}", ["lorem_ipsum.max", "curly_brackets.max", "sentences.min"]),
        ("一つ。二つ。三つ。", []),
    ],
)
def test_c4_page_rules(text: str, reasons: list[str]) -> None:
    assert c4.evaluate([text]).reasons == [reasons]


def _page(lines: int, ended: int, short: int, copies: int = 0) -> str:
    """Lines of which `ended` end in a full stop, `short` have 29 characters (the others 30), and some are copies."""
    words = _distinct(lines, 7)
    made = [f"{words[i]} {'x' * (20 if i < short else 21)}{'.' if i < ended else 'x'}" for i in range(lines)]
    return "\n".join(made + [made[0]] * copies)


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (_page(100, 13, 0), []),
        (_page(100, 12, 0), ["line_punct_ratio.above"]),
        (_page(100, 20, 66), []),
        (_page(100, 20, 67), ["short_line_ratio.below"]),
        (_page(100, 20, 0, copies=11), []),
        (_page(90, 20, 0, copies=10), ["fineweb_duplicate_line_char_ratio.below"]),
    ],
)
def test_fineweb_rules(text: str, reasons: list[str]) -> None:
    assert fineweb.evaluate([text]).reasons == [reasons]


def test_fineweb_as_datatrove_has_it() -> None:
    """Its own numbers keep what the paper drops (a share of exactly 0.12) and drop what the paper keeps (one copy)."""
    at_bound, one_copy = _page(100, 12, 0), _page(40, 20, 0, copies=1)
    assert fineweb.evaluate([at_bound, one_copy]).reasons == [["line_punct_ratio.above"], []]
    verdicts = fineweb.evaluate([at_bound.replace("\n", " \n"), one_copy], fineweb.DATATROVE_RULES)
    assert verdicts.reasons[0] == ["line_break_word_ratio.max"]
    assert "fineweb_duplicate_line_char_ratio.max" in verdicts.reasons[1]


def test_every_signal_is_named_documented_and_ruled() -> None:
    signals = all_signals()
    published = gopher.GOPHER_QUALITY + gopher.GOPHER_REPETITION + c4.RULES + fineweb.RULES + fineweb.DATATROVE_RULES
    check_signals(published, signals)
    for name, signal in signals.items():
        assert signal.name == name == signal.function.__name__
        assert signal.doc
        assert "\n" not in signal.doc
        assert families_of([name]) == ((signal.family,) if signal.family else ())
    assert {signal.family for signal in signals.values()} == {None, *family_names()}
    assert common_modules() == ("basic", "c4", "fineweb", "gopher", "pii")
    assert families_of(["words", "dolma_words", "text_of_no_signal", "olmo_token_repeats"]) == ("dolma", "olmo")


def test_measuring_some_and_unknown_signals() -> None:
    array = pa.array(["one two", None])
    assert list(measure(array, ["words", "lines"])) == ["words", "lines"]
    assert measure(array, []) == {}
    with pytest.raises(UserError, match=r"word: unknown signal \(did you mean words\?\); known: "):
        measure(array, ["word"])
    with pytest.raises(UserError, match="unknown signal"):
        gopher.evaluate(["x"], [Rule(signal="sentences", min=1)])
    with pytest.raises(TypeError, match="not an array of int64"):
        measure(pa.array([1]))


def test_warm_up_compiles_all_that_measure_calls() -> None:
    from pipeline.filters.kernels import layout, line_patterns, words

    warm_up()
    kernels = [words._count, layout._count, line_patterns.count_phrases]
    before = [list(kernel.signatures) for kernel in kernels]
    assert all(before)
    measure(pa.array(["text", None], pa.large_string()).slice(1))
    measure(pa.array([], pa.string()))
    assert [list(kernel.signatures) for kernel in kernels] == before


def test_rules_of_several_papers_are_judged_together() -> None:
    texts = [GOOD, "word", None]
    found = evaluate(texts, gopher.GOPHER_QUALITY + fineweb.RULES)
    one, other = gopher.evaluate(texts, gopher.GOPHER_QUALITY), fineweb.evaluate(texts)
    assert found.reasons == [first + second for first, second in zip(one.reasons, other.reasons, strict=True)]
    assert found.kept.tolist() == (one.kept & other.kept).tolist()
    assert {*found.signals} == {*one.signals, *other.signals}
    assert evaluate(["lorem"], [Rule(signal="lorem_ipsum", max=0)]).kept.tolist() == [True]
    assert evaluate(["lorem"], []).kept.tolist() == [True]
    with pytest.raises(UserError, match=r"^line_punct_ratio: unknown signal here; pipeline.evaluate\(texts, rules\)"):
        gopher.evaluate(texts, gopher.GOPHER_QUALITY + fineweb.RULES)
    with pytest.raises(UserError, match=r"^wrods: unknown signal \(did you mean words\?\)"):
        evaluate(texts, [Rule(signal="wrods", min=1)])
    for limit in ("top", "bottom", "pareto"):
        with pytest.raises(ValueError, match=f"^words.{limit}: needs all documents of a run; give a bound: min, max"):
            evaluate(texts, [Rule(signal="words", **{limit: 0.5})])  # type: ignore[arg-type]
