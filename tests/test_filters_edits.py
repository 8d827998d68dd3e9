"""Edits of lines: each rule just inside and just outside, the kernel against plain Python, and a run that edits."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config_file import check
from pipeline.core.ledger import read
from pipeline.errors import UserError
from pipeline.filters.edits import edit_lines, removed_lines
from pipeline.filters.options import LineRules
from pipeline.report.stats import stats
from pipeline.report.why import RemovedLine, why
from pipeline.run.run import Run

Go = Callable[..., tuple[Run, list[str]]]
Cli = Callable[..., tuple[int, str, str]]

C4 = LineRules(
    citations=True,
    blank_lines=True,
    max_word_characters=1000,
    end_marks=(".", "!", "?", '"'),
    min_line_words=5,
    phrases=("javascript", "privacy policy"),
)
REFINEDWEB = LineRules(
    min_line_words=2, max_uppercase_ratio=0.5, numeric_lines=True, counter_lines=True, boilerplate=True
)


def edited(text: str, rules: LineRules) -> str:
    """The text that is left."""
    found = edit_lines(pa.array([text]), rules).texts[0].as_py()
    return text if found is None else str(found)


CASES = [  # rules, line, what is left of it: None is nothing
    (LineRules(max_word_characters=5), "a bcdef g", "a bcdef g"),
    (LineRules(max_word_characters=5), "a bcdefg h", None),
    (LineRules(max_word_characters=5), "äöüäö", "äöüäö"),
    (LineRules(min_line_words=3), "one two three", "one two three"),
    (LineRules(min_line_words=3), "one two", None),
    (LineRules(end_marks=(".", "。")), "It ends here.", "It ends here."),
    (LineRules(end_marks=(".", "。")), "终。", "终。"),
    (LineRules(end_marks=(".", "。")), "It ends here.)", None),
    (LineRules(end_marks=(".",)), "It trails off...", None),
    (LineRules(end_marks=(".",)), "Two dots..", "Two dots.."),
    (LineRules(phrases=("javascript",)), "Turn JavaScript on", None),
    (LineRules(phrases=("javascript",)), "Turn Java script on", "Turn Java script on"),
    (
        LineRules(citations=True),
        "As said[12] before[citation needed], and[edit] so[] on[a].",
        "As said before, and so on[a].",
    ),
    (LineRules(citations=True), "[1]", None),
    (LineRules(max_uppercase_ratio=0.5), "ABcd", "ABcd"),
    (LineRules(max_uppercase_ratio=0.5), "ABCde", None),
    (LineRules(max_uppercase_ratio=0.5), "ÄÖü", None),
    (LineRules(numeric_lines=True), "2019", None),
    (LineRules(numeric_lines=True), "2019 20", "2019 20"),
    (LineRules(counter_lines=True), "3 likes", None),
    (LineRules(counter_lines=True), "» 1.2K Followers!", None),
    (LineRules(counter_lines=True), "3likes", "3likes"),
    (LineRules(counter_lines=True), "3 likes you", "3 likes you"),
    (LineRules(counter_lines=True), "over 3 likes", "over 3 likes"),
    (LineRules(boilerplate=True), "Sign-in to go on", "to go on"),
    (LineRules(boilerplate=True), "We Sign-in", "We Sign-in"),
    (LineRules(boilerplate=True), "A short teaser Read more...", "A short teaser"),
    (LineRules(boilerplate=True), "Read more... of it", "Read more... of it"),
    (LineRules(boilerplate=True), "You have 2 items in cart now", "You have 2 now"),
    (LineRules(boilerplate=True), "items in cart", None),
    (LineRules(boilerplate=True), "1 2 3 4 5 6 7 8 Read more...", "1 2 3 4 5 6 7 8"),
    (LineRules(boilerplate=True), "1 2 3 4 5 6 7 8 9 Read more...", "1 2 3 4 5 6 7 8 9 Read more..."),
]


@pytest.mark.parametrize(("rules", "line", "left"), CASES)
def test_a_line(rules: LineRules, line: str, left: str | None) -> None:
    text = f"{line}\nThe last line stays here."
    assert edited(text, rules) == (
        "The last line stays here." if left is None else f"{left}\nThe last line stays here."
    )
    changed = [gone for _, gone in removed_lines(text, rules)]
    assert changed == ([] if left == line else [line])


def test_blank_lines_stay_between_lines_but_not_at_the_ends() -> None:
    text = "\n \nOne line here\n\n  Two lines here \n\n"
    assert edited(text, LineRules(numeric_lines=True)) == "One line here\n\n  Two lines here "
    assert edited(text, LineRules(blank_lines=True)) == "One line here\nTwo lines here"


def test_counts_and_shares() -> None:
    text = "Home\nMenu\n\nThis is a good line with seven words.\nShort one.\n- - No mark at its end"
    found = edit_lines(pa.array(["Nothing to do here at all.", text, None], pa.large_string()), C4)
    assert found.texts.to_pylist() == [None, "This is a good line with seven words.", None]
    assert found.texts.type == pa.large_string()
    assert found.lines["end_marks"].tolist() == [0, 3, 0]
    assert found.lines["min_line_words"].tolist() == [0, 1, 0]
    assert found.words["end_marks"].tolist() == [0, 7, 0]  # a dash is no word
    assert found.measures["removed_line_ratio"].tolist()[:2] == [0, 4 / 5]
    assert found.measures["removed_word_ratio"].tolist()[:2] == [0, 9 / 17]


def c4_lines(text: str) -> str:
    """C4's line rules in plain Python, from their description."""
    left = []
    for line in re.split("\r\n|[\n\r\v\f\x85\u2028\u2029]", text):
        line = line.strip()
        if any(len(word) > 1000 for word in line.split()):
            continue
        line = re.sub(r"\[[0-9]*\]|\[edit\]|\[citation needed\]", "", line)
        if not line.endswith((".", "!", "?", '"')) or line.endswith("...") or len(line.split()) < 5:
            continue
        if "javascript" not in line.lower() and "privacy policy" not in line.lower():
            left.append(line)
    return "\n".join(left)


def refinedweb_lines(text: str) -> str:
    """RefinedWeb's line rules in plain Python, from their description."""
    left = []
    things = "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers"
    for line in re.split("\r\n|[\n\r\v\f\x85\u2028\u2029]", text):
        if line.strip():
            if (
                sum(map(str.isupper, line)) > 0.5 * len(line)
                or all(c.isdecimal() for c in line)
                or len(line.split()) < 2
            ):
                continue
            if re.search(rf"^\W*[0-9][0-9.,]*[kmb]?\s+(?:{things})\W*$", line, re.I):
                continue
            if len(line.split()) <= 10:
                line = re.sub(r"\s?items in cart", "", line, flags=re.I)
                line = re.sub(r"\s?read more\.\.\.$", "", line, flags=re.I)
                line = re.sub(r"^sign-in\s?", "", line, flags=re.I)
                if not line.strip():
                    continue
        left.append(line)
    while left and not left[0].strip():
        del left[0]
    while left and not left[-1].strip():
        del left[-1]
    return "\n".join(left)


def test_the_kernel_does_what_plain_python_does() -> None:
    draw = random.Random(3)
    pieces = [
        *"abcdeABCDÄß1234567890....!!??\"'  ,-[]{}",
        "\n",
        "\n",
        "\r\n",
        "\u2028",
        " the ",
        " WORD ",
        "...",
        "[1]",
        "[edit]",
    ]
    pieces += [
        "javascript",
        "Privacy Policy",
        "Read more...",
        "items in cart",
        "\nsign-in",
        "\n3 likes\n",
        "\n1,2K views!\n",
    ]
    pieces += ["中文", "。", "é", "\u00a0", "\t", "x" * 999, " a b c d e."]
    texts = ["".join(draw.choices(pieces, k=draw.randrange(90))) for _ in range(3000)]
    for rules, plainly in ((C4, c4_lines), (REFINEDWEB, refinedweb_lines)):
        found = edit_lines(pa.array(texts), rules).texts.to_pylist()
        for text, after in zip(texts, found, strict=True):
            assert (text if after is None else after) == plainly(text), repr(text)


def test_a_sliced_array_with_nulls() -> None:
    array = pa.array(["zero", "Menu\nThis is a line of six.", None, "Menu\nAnd that is one more line."])[1:]
    assert edit_lines(array, C4).texts.to_pylist() == ["This is a line of six.", None, "And that is one more line."]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"edit": {"min_line_word": 3}}, "edit.min_line_word: unknown key (did you mean min_line_words?)"),
        ({"edit": {"end_marks": ["..."]}}, "edit.end_marks: single characters are needed, not '...'"),
        ({"edit": {"phrases": ["café"]}}, "edit.phrases: plain ASCII text is needed"),
        (
            {"edit": {"numeric_lines": True}, "edited": {"wrods": {"min": 1}}},
            "edited.wrods: unknown signal (did you mean",
        ),
        ({"edited": {"words": {"min": 1}}}, "edited: [edit] is empty, so there is no edited text"),
        ({"quality": {"removed_word_ratio": {"max": 1}}}, "quality.removed_word_ratio: unknown signal"),
    ],
)
def test_mistakes_are_named(raw: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        check({"input": {"paths": ["x"]}} | raw, "file")


def test_a_run_edits_judges_what_is_left_and_goes_on_with_it(tmp_path: Path, go: Go) -> None:
    sets = ['edit.end_marks=["."]', "edited.words.min=60", "edited.removed_word_ratio.max=0.9"]
    done, steps = go(tmp_path / "run", sets)
    assert "quality.edit" in steps
    [document] = why(done, "http://a.example/7")
    assert document.edit
    assert document.edit.removed == (RemovedLine(rule="end_marks", line="Page 7"),)
    assert "Page 7" in str(document.record.text)
    values = next(stage for stage in document.stages if stage.name == "quality").values
    assert values["edited.words"] == values["words"] - 2
    clean = pq.read_table(tmp_path / "run" / "clean").to_pylist()
    kept = next(row for row in clean if row["url"] == "http://a.example/7")
    assert kept["text"] == document.edit.text
    assert kept["edited_words"] == kept["words"] - 2
    assert not any(row["text"].startswith("Page") for row in clean)
    [short] = why(done, "http://a.example/short")
    failed = next(stage for stage in short.stages if stage.name == "quality").dropped
    assert {failure.rule for failure in failed or ()} >= {"quality.edited.words.min"}
    assert "edited.words.min" in next(stage for stage in stats(done).stages if stage.name == "quality").rules

    _, steps = go(tmp_path / "run", [*sets[:1], "edited.words.min=20"], until="quality")
    assert steps == ["quality.decide"]  # another threshold measures nothing again


def test_a_document_that_edits_leave_empty_is_dropped(tmp_path: Path, go: Go, cli: Cli) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        'def forget(text: str) -> str:\n    """Nothing of page 7."""\n    return "" if "Page 7" in text else text\n\n\n'
        "EDITS = (forget,)\n"
    )
    done, _ = go(tmp_path / "run", [f"plugins=['{plugin}']", "edit.functions=['forget']"])
    [document] = why(done, "http://a.example/7")
    failed = next(stage for stage in document.stages if stage.name == "quality").dropped
    assert [failure.rule for failure in failed or ()] == ["quality.edited.empty"]
    assert stats(done).stages[2].rules["edited.empty"].failed == 1
    assert all(pq.read_table(tmp_path / "run" / "clean")["text"].to_pylist())
    for command in ("stats", "why"):
        code, out, _ = cli(command, str(done.root), *(["http://a.example/7"] if command == "why" else []))
        assert code == 0
        assert "edited.empty" in out


def test_without_edits_nothing_is_edited(tmp_path: Path, go: Go) -> None:
    done, steps = go(tmp_path / "run", until="quality")
    assert "quality.edit" not in steps
    assert why(done, "http://a.example/7")[0].edit is None
    assert read(done.file("quality.decide", done.parts[0]), ["dropped"]).column_names == ["dropped"]
