"""Reports on a terminal: every figure with its bound and noun, names whole, and only what ran."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from pipeline.config_file import load
from pipeline.core.plain_values import plain_values
from pipeline.core.progress import Quiet
from pipeline.core.screen import byte_size, counted, field, paragraph, table
from pipeline.errors import UserError
from pipeline.report.diff import diff
from pipeline.report.revisits import Revisits
from pipeline.report.show_diff import show_diff
from pipeline.report.show_stats import show_stats
from pipeline.report.show_why import show_why
from pipeline.report.stats import EditCounts, stats
from pipeline.report.why import why
from pipeline.run.run import Run
from pipeline.run.runner import run

Go = Callable[..., tuple[Run, list[str]]]
LONG = "quality.fineweb_duplicate_line_char_ratio.below"
"""The longest name of a rule that a recipe has."""


def shown(width: int, show: Callable[..., None], *arguments: Any, terminal: bool = True, **options: Any) -> list[str]:
    """The lines of a report on a terminal of a width."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None, _environ={"TERM": "xterm"})
    show(*arguments, console, **options)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert not terminal or max(map(len, lines)) <= width
    return lines


@pytest.fixture
def strict(tmp_path: Path) -> Run:
    """A run of documents in two languages with requests beside them, edited, with a rule that is for English only."""
    lines = []
    for n in range(8):
        text = f"The number {n} of the river has a garden and people go to the market with that letter in mind.\n" * 4
        lines.append(
            {"id": f"en{n}", "url": f"http://a.example/{n}", "text": f"{text}menu\n" * (1 if n else 0) or "a b"}
        )
    lines.append(
        {"id": "de", "text": "Der Fluss und der Garten sind im Winter sehr schön, sagt der Lehrer im Dorf. " * 6}
    )
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (tmp_path / "c.toml").write_text(
        f"""
[input]
paths = ["{tmp_path}/docs.jsonl"]
[language]
min_score = 0.0
[edit]
min_line_words = 3
[quality]
words = {{ min = 20 }}
stop_words = {{ min = 2, languages = ["en"] }}
"""
    )
    config = load(tmp_path / "c.toml")
    return run(tmp_path / "run", config, workers=1, engine="local", until="clean", reporter=Quiet())


def test_stats_has_the_bound_and_the_meaning_of_every_rule(strict: Run) -> None:
    account = stats(strict)
    quality = next(stage for stage in account.stages if stage.name == "quality")
    assert {rule: (counts.bound, counts.meaning) for rule, counts in quality.rules.items()} == {
        "words.min": ("min = 20", "Words: tokens that are not symbols."),
        "stop_words.min": (
            "min = 2 (en only)",
            'How many of the words "the be to of and that have with" occur, in any case; each counts once.',
        ),
        "edited.empty": (None, "the edits removed all of the text"),
    }
    stored = json.loads(json.dumps(plain_values(account)))["stages"][2]["rules"]["words.min"]
    assert stored["bound"] == "min = 20"
    wide, narrow = (shown(width, show_stats, account) for width in (160, 80))
    [row] = [line for line in wide if "quality.words.min = 20 " in line]
    assert row.endswith("   Words: tokens that are not symbols.")
    at = next(number for number, line in enumerate(narrow) if line.endswith("quality.words.min = 20"))
    assert narrow[at + 1].strip() == "Words: tokens that are not symbols."
    assert any(line.endswith("quality.stop_words.min = 2 (en only)") for line in narrow)


def test_stats_counts_what_the_edits_took_out(strict: Run) -> None:
    account = stats(strict)
    assert account.edits == {"min_line_words": EditCounts(documents=8, lines=8, words=9)}
    assert any(line.split() == ["8", "8", "9", "edit.min_line_words"] for line in shown(80, show_stats, account))


def test_stats_shows_only_what_ran_and_no_shares_of_a_part(go: Go, tmp_path: Path) -> None:
    done, _ = go(tmp_path / "run", until="extract")
    lines = shown(80, show_stats, stats(done))
    assert [line.split()[0] for line in lines if line.startswith("  ")][:2] == ["stage", "extract"]
    assert "  not run yet: language, quality, duplicates, clean" in lines
    assert not any("clean text" in line for line in lines)

    done, _ = go(tmp_path / "run", until="clean")
    file = done.file("extract", done.parts[0])
    file.write_bytes(file.read_bytes()[:-9])
    lines = shown(80, show_stats, stats(Run(done.root, done.config, done.parts)))
    stages = [line for line in lines if line.split()[:1] in (["extract"], ["language"])]
    assert [line.split()[-2] for line in stages[:2]] == ["unknown", "unknown"]
    assert "missing, or changed since it was written" in " ".join(" ".join(lines).split())


def test_requests_are_no_drops(tmp_path: Path, make_archive: Any) -> None:
    from pipeline.demo.crawl import crawl

    crawl(tmp_path / "a.warc.gz", modules=["this"])
    (tmp_path / "c.toml").write_text(f'[input]\npaths = ["{tmp_path}/a.warc.gz"]\n')
    options: Any = {"workers": 1, "engine": "local", "until": "clean", "reporter": Quiet()}
    done = run(tmp_path / "run", load(tmp_path / "c.toml"), **options)
    account = stats(done)
    lines = shown(80, show_stats, account)
    others = account.input - account.pages
    assert others > account.pages > 0
    assert lines[0] == f"{account.input:,} records: {account.pages:,} pages and {others:,} requests and archive headers"
    extract = next(line.split() for line in lines if line.startswith("  extract"))
    dropped = account.stages[0].dropped - others
    assert extract[1:4] == [str(account.pages), str(account.pages - dropped), str(dropped)]
    assert not any("record_type" in line for line in lines)
    report = diff(done, done)
    assert report.not_pages == others
    assert (
        shown(200, show_diff, done, done, report)[0]  # it names the runs, whose paths may be long
        == f"kept by both {report.both:,}; by neither {account.pages - report.both:,}"
    )


def test_unchanged_pages_are_told_apart(tmp_path: Path) -> None:
    def record(number: int, kind: str, url: str, date: str, headers: str = "", body: str = "") -> bytes:
        block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{body}".encode()
        head = f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\nWARC-Target-URI: {url}\r\n"
        head += f"WARC-Date: {date}\r\n{headers}Content-Type: application/http\r\nContent-Length: {len(block)}\r\n\r\n"
        return head.encode() + block + b"\r\n\r\n"

    def referring(url: str, date: str) -> str:
        return f"WARC-Refers-To-Target-URI: {url}\r\nWARC-Refers-To-Date: {date}\r\n"

    a, b, c = (f"http://{name}.example/" for name in "abc")
    first, second = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
    text = "<p>The harbour was quiet, and the boats lay along the wall as they had done for many years before."
    revisits = [
        record(5, "revisit", c, second, referring(a, first)),
        record(6, "revisit", a, second, referring(a, "2026-01-01T00:00:00.123456Z")),
        record(7, "revisit", b, second, referring(b, first)),  # the record in the inputs is of another day
        record(8, "revisit", c, second, referring(c, first)),
        record(9, "revisit", b, second),  # Wget
    ]
    (tmp_path / "a.warc").write_bytes(record(1, "response", a, first, body=text) + record(2, "request", a, first))
    (tmp_path / "b.warc").write_bytes(b"".join([record(3, "response", b, second, body=text), *revisits]))
    (tmp_path / "c.toml").write_text(f'[input]\npaths = ["{tmp_path}/*.warc"]\n')
    options: Any = {"workers": 1, "engine": "local", "until": "clean", "reporter": Quiet()}
    done = run(tmp_path / "run", load(tmp_path / "c.toml"), **options)
    account = stats(done)
    assert (account.input, account.pages, account.stages[0].kept) == (8, 2, 2)
    assert account.revisits == Revisits(total=5, here=3)
    lines = shown(80, show_stats, account)
    assert lines[0] == "8 records: 2 pages, 5 unchanged pages and 1 requests and archive headers"
    told = "unchanged pages (revisits) are in earlier records: 3 of them among the inputs, 2 elsewhere"
    assert " ".join(line.strip() for line in lines[1:3]) == told
    assert diff(done, done).not_pages == 6
    (tmp_path / "c.toml").write_text(f'[input]\npaths = ["{tmp_path}/d.warc"]\n')
    (tmp_path / "d.warc").write_bytes(b"".join([record(2, "request", a, first), *revisits]))
    with pytest.raises(UserError, match=r"extract\.revisit dropped all 5 records.* add them to input\.paths"):
        run(tmp_path / "other", load(tmp_path / "c.toml"), **options)


def test_why_shows_the_rules_and_where_they_do_not_apply(strict: Run) -> None:
    [german] = why(strict, "de")
    lines = shown(80, show_why, strict.config, german)
    value = next(line for line in lines if line.startswith("  stop_words "))
    assert value.endswith("(min 2; en only)")
    assert not any(line.startswith("  characters") for line in lines)
    hidden = next(line for line in lines if line.endswith("without a rule (--all shows them)"))
    everything = shown(80, show_why, strict.config, german, everything=True)
    assert len(everything) == len(lines) - 1 + int(hidden.split()[1])
    assert not any("None" in line for line in everything)

    [english] = why(strict, "en3")
    value = next(line for line in shown(80, show_why, strict.config, english) if line.startswith("  stop_words "))
    assert value.endswith("(min 2)")


def test_why_says_which_stages_have_not_decided(go: Go, tmp_path: Path) -> None:
    done, _ = go(tmp_path / "run", until="language")
    [page] = why(done, "http://a.example/3")
    assert "not decided yet: quality, duplicates; run it again" in shown(80, show_why, done.config, page)


def test_numbers_have_their_nouns() -> None:
    assert [counted(n, "page") for n in (0, 1, 2_000)] == ["0 pages", "1 page", "2,000 pages"]
    assert [byte_size(n) for n in (0, 1, 999, 1_000, 999_999, 1_000_000)] == [
        "0 bytes",
        "1 byte",
        "999 bytes",
        "1.0 kB",
        "1,000.0 kB",
        "1.0 MB",
    ]


def test_tables_cut_no_name_and_wrap_the_rest() -> None:
    def show(console: Console) -> None:
        made = table("rule", "count", "meaning", right=("count",))
        made.add_row(LONG, "7", "a text of many words that has to go on for a while")
        console.print(made)

    lines = shown(80, show)
    assert lines[1].startswith(f"  {LONG}")
    assert lines[1][len(LONG) + 2 :].split()[0] == "7"
    assert all(line.startswith(" " * (len(LONG) + 2)) for line in lines[2:])
    assert " ".join(" ".join(line.split()) for line in lines[1:]).endswith("go on for a while")


def test_long_text_is_indented_on_a_terminal_and_whole_in_a_pipe() -> None:
    text = "one two three four five six seven eight"
    assert shown(20, lambda console: paragraph(Text(text), console)) == [
        "  one two three four",
        "  five six seven",
        "  eight",
    ]
    assert shown(20, lambda console: paragraph(Text(text), console), terminal=False) == [f"  {text}"]
    value = lambda console: field("name", Text(text), console)  # noqa: E731
    assert shown(60, value) == [f"  {'name':<33} one two three four five", f"{'':<36}six seven eight"]
    assert shown(60, value, terminal=False) == [f"  {'name':<33} {text}"]
