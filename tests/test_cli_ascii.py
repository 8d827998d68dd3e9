"""Every command on streams that are ASCII only, or of an old code page: no error, and nothing lost without a trace."""

import io
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from pipeline.cli.main import app, main
from pipeline.core.plain_text import ascii_text, is_unicode, write_any_text

ROOT = Path(__file__).parents[1]
NAMES = sorted(typer.main.get_group(app).commands)
Cli = Callable[..., tuple[int, str, str]]
SENTENCES = "The river of the valley number {} has a bridge and people go to the market with that letter in mind. " * 12


@pytest.fixture(scope="module")
def strange_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run whose URLs, ids, languages, texts and reasons need more than ASCII, with shards."""
    folder = tmp_path_factory.mktemp("strange") / "Käse"
    folder.mkdir()
    with open(folder / "döcs.jsonl", "w", encoding="utf-8") as file:
        for n in range(16):
            text = SENTENCES.format(*range(n, n + 12)) + f"\n{n}\n…“naïve” 火車 \N{GRINNING FACE} is what they say.\n"
            file.write(json.dumps({"id": f"é{n}", "url": f"http://bücher.example/{n}?✓", "text": text}) + "\n")
        file.write(json.dumps({"id": "kürz", "url": "http://bücher.example/kürz", "text": "Zu kurz – ja…"}) + "\n")
        file.write(json.dumps({"id": "cöpy", "text": text}) + "\n")
    (folder / "c.toml").write_text(
        f"""
out = "{folder}/run"
[input]
paths = ["{folder}/döcs.jsonl"]
[quality]
words = {{ min = 50 }}
[edit]
min_line_words = 4
[tokenizer]
vocab_size = 400
[shards]
validation = 0.2
""",
        encoding="utf-8",
    )
    with pytest.raises(SystemExit) as stop:
        main(["run", str(folder / "c.toml"), "--until", "shards", "--workers", "1", "--quiet"])
    assert not stop.value.code
    return folder


COMMANDS = [
    ["run", "{}/c.toml", "--until", "shards"],
    ["run", "{}/c.toml", "--until", "shards", "--dry-run"],
    ["stats", "{}/run"],
    ["stats", "{}/run", "--json"],
    ["sample", "{}/run"],
    ["sample", "{}/run", "--dropped-by", "quality"],
    ["sample", "{}/run", "--dropped-by", "qualität"],
    ["why", "{}/run", "http://bücher.example/kürz", "--all"],
    ["why", "{}/run", "é3", "--json"],
    ["why", "{}/run", "ü"],
    ["why", "{}/run", "--token", "3"],
    ["duplicates", "{}/run"],
    ["duplicates", "{}/run", "--sample", "2"],
    ["diff", "{}/run", "{}/run"],
    ["tokens", "{}/run"],
    ["tokens", "{}/run", "--json"],
    ["suggest", "{}/run", "--good", "{}/run"],
    ["recipes"],
    ["recipes", "fineweb"],
    ["recipes", "c4-dclm", "--file"],
    ["config", "show", "{}/c.toml"],
    ["config", "show", "{}/ö.toml"],
    ["export", "{}/run", "llmc", "{}/out"],
    ["stats", "{}/nö"],
    ["nö"],
    ["stats", "--ö"],
]


def run_on(
    encoding: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool = False
) -> tuple[int, str, str]:
    """Exit code and what is written, on streams of an encoding."""
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for name in ("out", "err")}
    for name, stream in streams.items():
        monkeypatch.setattr(stream, "isatty", lambda: terminal)
        monkeypatch.setattr(sys, f"std{name}", stream)
    code = 0
    try:
        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    written = [stream.buffer.getvalue().decode(encoding) for stream in streams.values()]
    return code, written[0], written[1]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_writes_to_any_stream(
    strange_run: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], encoding: str
) -> None:
    given = [word.replace("{}", str(strange_run)) for word in arguments]
    code, out, err = run_on(encoding, given, monkeypatch)
    assert code in (0, 2)
    assert bool(err) == (code == 2)
    assert "Traceback" not in err
    if "--json" in arguments:
        json.loads(out)
    if arguments[:2] == ["config", "show"] and code == 0:
        assert tomllib.loads(out)["input"]["paths"] == [f"{strange_run}/döcs.jsonl"]


def test_a_terminal_that_can_do_nothing_gets_plain_lines(strange_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    given = ["run", f"{strange_run}/c.toml", "--out", f"{strange_run}/dumb", "--until", "clean", "--workers", "1"]
    code, out, _ = run_on("ascii", given, monkeypatch, terminal=True)
    assert code == 0
    assert "\x1b" not in out
    assert "+ extract text         18 records in " in out
    assert "####################" in out


@pytest.mark.parametrize("command", [[], *([name] for name in NAMES), ["classifier", "train"], ["config", "show"]])
def test_help_is_ascii(cli: Cli, command: list[str]) -> None:
    assert cli(*command, "--help")[1].isascii()


def test_python_itself_set_to_ascii(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "TERM": "dumb"}
    for words, code in ((["recipes", "fineweb"], 0), (["stats", "nö"], 2)):
        command = [sys.executable, "-m", "pipeline", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True)
        assert done.returncode == code
        assert (done.stdout + done.stderr).isascii()


def test_characters_have_plain_ones_or_escapes() -> None:
    assert (
        ascii_text("✓ ██░ ≥ 5 … “é” 火 \N{GRINNING FACE} \udce9")
        == '+ ##. >= 5 ... "\\u00e9" \\u706b \\U0001f600 \\udce9'
    )
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    write_any_text(stream)
    stream.write("a\udce9b")  # of a file name that is no UTF-8
    stream.flush()
    assert stream.buffer.getvalue() == b"a\\udce9b"
    assert is_unicode(stream)
    assert not is_unicode(io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert is_unicode(io.StringIO())
    write_any_text(io.StringIO())  # no stream of bytes: nothing to do
