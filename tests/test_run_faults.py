"""Faults from outside: what is damaged, planted, refused by the file system or full is told in one line, and never used."""

import errno
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import main
from pipeline.config_file import load
from pipeline.core.ledger import lock, read
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.files import kernel_folder, scratch, sweep
from pipeline.run.run import Run, open_run
from pipeline.run.runner import run

Go = Callable[..., tuple[Run, list[str]]]
MakeArchive = Callable[[Path, Sequence[tuple[str, str, str]]], Path]

EVIL = "\x1b[31m[/x][bold]\x07\x9b\u202e\x85"
"""What a terminal, or rich, would obey."""


def text(seed: int) -> str:
    """Words that pass the rules."""
    words = ("river", "garden", "winter", "letter", "market", "window", "summer", "village")
    lines = (
        f"The {words[(seed + n) % 8]} of the {words[seed * n % 8]} number {seed * n} is there to be seen."
        for n in range(12)
    )
    return " ".join(lines)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "mine")
    with (
        pytest.raises(UserError, match=r"run/\.lock: a link, where a run has its lock; delete it"),
        lock(tmp_path / "run"),
    ):
        pass
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(UserError, match=rf"run: cannot be locked \({os.strerror(number)}\)"), lock(tmp_path / "run"):
        pass


@pytest.mark.parametrize(
    ("owner", "mode", "trusted"),
    [(os.getuid(), 0o700, True), (os.getuid(), 0o775, True), (os.getuid(), 0o777, False), (4711, 0o755, False)],
)
def test_compiled_code_of_another_user_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, trusted: bool
) -> None:
    folder = tmp_path / f"cache-{os.getuid()}"
    folder.mkdir()
    folder.chmod(mode)
    lstat = Path.lstat

    def owned(path: Path) -> os.stat_result:
        about = lstat(path)
        return os.stat_result((*about[:4], owner, *about[5:])) if path == folder else about

    monkeypatch.setattr(Path, "lstat", owned)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    if trusted:
        assert kernel_folder() == folder / "corpus-pipeline" / "kernels"
    else:
        with pytest.raises(UserError, match=f"{folder}: another user could put code there that runs as you"):
            kernel_folder()
    # In the user's own cache folder, the same decides whether it is used.
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr("os.access", lambda path, mode: True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path.parent))
    assert (folder in kernel_folder().parents) == trusted


def test_a_cache_folder_that_is_made_is_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert kernel_folder().parents[1].stat().st_mode & 0o777 == 0o700
    assert kernel_folder().parents[1].parent == tmp_path


def test_a_full_temporary_folder_is_named_and_a_killed_one_swept(tmp_path: Path) -> None:
    def fill() -> None:
        with scratch("spill", tmp_path) as folder:
            (folder / "half").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as error:
        fill()
    folder = Path(error.value.filename)
    assert folder.parent == tmp_path
    assert not list(tmp_path.iterdir())
    tempfile.mkdtemp(prefix=folder.name[:7], suffix=folder.name[-4:], dir=tmp_path)
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "listed",
    [
        {"path": "a"},
        [7],
        [{}],
        "whole",
        lambda entry: [{**entry, "size": "7"}],
        lambda entry: [{**entry, "path": None}],
        lambda entry: [{name: value for name, value in entry.items() if name != "modified"}],
    ],
)
def test_a_list_of_parts_of_another_shape_is_told_and_made_again(tmp_path: Path, go: Go, listed: object) -> None:
    done, _ = go(tmp_path / "run", until="extract")
    file = done.root / "parts.json"
    whole = file.read_text()
    file.write_text(json.dumps(listed(json.loads(whole)[0]) if callable(listed) else listed))
    with pytest.raises(UserError, match=r"parts\.json: damaged: not a list of parts"):
        open_run(done.root)
    assert go(tmp_path / "run", until="extract")[1] == []
    assert file.read_text() == whole


def test_nothing_from_outside_reaches_the_terminal_raw(
    tmp_path: Path, config_file: Path, make_archive: MakeArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / f"a{EVIL.replace('/', '')}"
    pages = [
        (f"http://a.example/{n}?{EVIL}", f"<title>{EVIL}</title><h1>{EVIL}</h1><p>{text(n)}", "200") for n in range(12)
    ]
    archive = make_archive(folder / f"b{EVIL.replace('/', '')}.warc.gz", [*pages, pages[0]])
    (folder / f"left-out{EVIL.replace('/', '')}").touch()
    root = str(folder / "run[/x]")

    def call(*arguments: str) -> str:
        code: object = 0
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = stop.code
        out = "".join(capsys.readouterr())
        assert not [c for c in out if not (c.isprintable() or c in "\n\t")], (arguments, out)
        return f"{code or 0} {out}"

    settings = [f"input.paths={json.dumps([str(folder)])}", "tokenizer.vocab_size=300"]
    sets = [part for setting in settings for part in ("--set", setting)]
    assert call("run", str(config_file), "--out", root, "--until", "shards", "--workers", "1", *sets).startswith("0 ")
    opened = open_run(Path(root))
    url = read(opened.file("extract", opened.parts[0]), ["url"])["url"][1].as_py()
    assert "[/x]" in url
    assert "\u202e" in url
    assert json.loads(call("why", root, url, "--json")[2:])[0]["record"]["url"] == url
    for command in (
        ["stats", root],
        ["sample", root],
        ["sample", root, "--dropped-by", "duplicates"],
        ["why", root, url],
        ["why", root, "--token", "5"],
        ["tokens", root],
        ["duplicates", root],
        ["duplicates", root, "--sample", "1"],
        ["diff", root, root],
        ["run", str(config_file), "--out", root, "--until", "shards", "--workers", "1", *sets],
        ["run", str(config_file), "--out", root, "--until", "shards", "--dry-run", *sets],
    ):
        assert call(*command).startswith("0 "), command
    for command in (["why", root, f"http://{EVIL}"], ["stats", f"{root}{EVIL}"], ["run", f"{EVIL}.toml"]):
        assert call(*command).startswith("2 error: "), command
    assert archive.exists()


def test_raw_bytes_are_not_for_a_terminal(
    tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done, _ = go(tmp_path / "run", until="extract")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(SystemExit):
        main(["why", str(done.root), "http://a.example/3", "--record"])
    assert "not for a terminal" in capsys.readouterr().err


def test_a_plugin_that_raises_is_named_with_step_part_and_record(tmp_path: Path, go: Go) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from pipeline.filters.batch import Batch, FloatArray\n\n\n"
        "def mine(docs: Batch) -> FloatArray:\n"
        '    """Raises."""\n'
        '    if docs.count("Page 7").any():\n'
        '        raise ZeroDivisionError("mine")\n'
        '    return docs.count("x").astype("f8")\n\n\n'
        "SIGNALS = (mine,)\n"
    )
    sets = [f'plugins=["{plugin}"]', "quality.mine.max=9"]
    with pytest.raises(
        UserError, match=r"ZeroDivisionError: mine \(line 7\), in quality of .*one\.warc\.gz, record 7$"
    ):
        go(tmp_path / "run", sets)


def cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def append(file: Path) -> None:
    with open(file, "ab") as end:
        end.write(file.read_bytes()[:5000])


def write_in_place(file: Path) -> None:
    with open(file, "r+b") as same:
        same.seek(file.stat().st_size // 2)
        same.write(bytes(50))
    os.utime(file, ns=(1, 1))  # the clock of a file system may be too coarse to tell


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes()[::-1])
    os.replace(other, file)


@pytest.mark.parametrize("kind", ["warc.gz", "jsonl", "parquet"])
@pytest.mark.parametrize("change", [cut_off, append, write_in_place, replace, os.unlink])
def test_input_that_changes_while_it_is_read_is_told_and_not_kept(
    tmp_path: Path, config_file: Path, make_archive: MakeArchive, kind: str, change: Callable[[Path], None]
) -> None:
    file = tmp_path / f"a.{kind}"
    texts = [f"{n} {text(n)}" for n in range(300)]
    if kind == "warc.gz":
        make_archive(file, [(f"http://a/{n}", text, "200 text/plain") for n, text in enumerate(texts)])
    elif kind == "jsonl":
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    else:
        pq.write_table(pa.table({"text": texts}), file, row_group_size=20, compression=None, use_dictionary=False)
    whole = file.read_bytes()

    class Changing(Quiet):
        def advance(self, rows: int, units: int) -> None:
            if rows == 10 and file.exists() and file.read_bytes() == whole:
                change(file)

    def go(root: Path, reporter: Quiet) -> Run:
        config = load(config_file, [f'input.paths=["{file}"]'])
        return run(root, config, workers=1, engine="local", until="extract", reporter=reporter)

    with pytest.raises(
        UserError, match=rf"a\.{kind}: (changed while it was read, so its part is not kept|cannot be read \(No such)"
    ):
        go(tmp_path / "run", Changing())
    assert not list((tmp_path / "run" / "ledger").rglob("*.parquet"))
    file.write_bytes(whole)
    done, other = go(tmp_path / "run", Quiet()), go(tmp_path / "other", Quiet())
    assert done.file("extract", done.parts[0]).read_bytes() == other.file("extract", other.parts[0]).read_bytes()


def test_a_full_disk_names_what_was_written_not_the_input(
    tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.tokenize.encoded.PartWriter.add", full)
    with pytest.raises(
        UserError, match=r"run/ledger/shards\.encode/one\.warc\.gz-\w+\.parquet: no space left on the device"
    ):
        go(tmp_path / "run", until="shards")
