import fcntl
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline.cli.main import main
from pipeline.config import Config
from pipeline.config_file import load
from pipeline.core.engines import Retry
from pipeline.core.ledger import lock
from pipeline.core.progress import Quiet
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.report.diff import diff
from pipeline.report.sample import sample
from pipeline.report.show_stats import show_stats
from pipeline.report.stats import RuleCounts, stats
from pipeline.report.why import FailedRule, raw_record, why, why_row
from pipeline.run import steps
from pipeline.run.run import Run, open_run
from pipeline.run.runner import run
from pipeline.stages.extract import EXTRACT
from pipeline.stages.language import LANGUAGE, LANGUAGE_DECIDE
from pipeline.stages.quality import QUALITY
from pipeline.stages.quality_rules import QUALITY_DECIDE


def go(root: Path, config: Config, until: str = "shards", workers: int = 1) -> tuple[Run, Quiet]:
    reporter = Quiet()
    return run(root, config, workers=workers, engine="local", until=until, reporter=reporter), reporter


def digests(root: Path, *folders: str) -> dict[str, str]:
    """SHA-256 of every product file."""
    files = sorted(
        file
        for folder in folders or ("clean", "shards", "tokenizer")
        for file in (root / folder).rglob("*")
        if file.is_file()
    )
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, config_file: Path) -> Run:
    """An undisturbed run up to the shards, for tests that only look at it."""
    return go(tmp_path_factory.mktemp("finished") / "run", load(config_file))[0]


def test_every_record_is_accounted_for(finished: Run) -> None:
    report = stats(finished)
    assert report.input == report.pages == 30
    assert report.records == {"response": 30}
    stages = {stage.name: stage for stage in report.stages}
    assert list(stages) == [
        "extract",
        "language",
        "quality",
        "duplicates",
        "clean",
        "tokenizer",
        "shards",
    ]
    assert {rule: counts.failed for rule, counts in stages["extract"].rules.items()} == {
        "empty_body": 1,
        "http_status": 1,
        "not_html": 1,
    }
    assert stages["quality"].rules["words.min"].failed == 1
    assert stages["duplicates"].rules == dict.fromkeys(("exact", "minhash"), RuleCounts(failed=1, only=1))
    for before, after in pairwise(report.stages):
        assert before.entered == before.kept + before.dropped
        assert after.entered == before.kept
    assert report.kept == report.clean.documents == 24
    assert all(stage.parts.done == stage.parts.total for stage in report.stages)


def test_the_product_is_the_kept_text_with_its_provenance(finished: Run) -> None:
    tables = [pq.read_table(file) for file in sorted((finished.root / "clean").glob("*.parquet"))]
    rows = [row for table in tables for row in table.to_pylist()]
    assert len(rows) == len({row["id"] for row in rows}) == 24
    for row in rows:
        assert row["text"]
        assert row["language"] == "en"
        assert row["words"] >= 50
        with open(row["file"], "rb") as file:
            file.seek(row["offset"])
            assert row["url"].encode() in gzip.decompress(file.read(row["length"]))


def test_a_second_run_does_nothing(finished: Run, config_file: Path) -> None:
    root = finished.root
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*.parquet")}
    _, reporter = go(root, load(config_file))
    assert reporter.steps == []
    assert reporter.notes[-1].startswith("up to date, not done again: extract, language")
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*.parquet")} == before


def test_a_changed_threshold_measures_nothing_again(tmp_path: Path, finished: Run, config_file: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished.root, root)
    loosened, reporter = go(root, load(config_file, ["quality.words.min=3"]), until="clean")
    assert reporter.steps == [
        "quality.decide",
        "duplicates.candidates",
        "duplicates.documents",
        "duplicates",
        "clean",
    ]
    assert "extract, language, language.decide, quality, duplicates.signatures" in reporter.notes[0]
    assert stats(loosened).kept == 25
    go(root, load(config_file), until="shards")
    assert digests(root) == digests(finished.root)  # the history leaves no trace


def test_a_new_archive_costs_only_its_own_part(tmp_path: Path, config_file: Path, make_archive: Any) -> None:
    shutil.copytree(config_file.parent / "input", tmp_path / "input")
    config = load(config_file, [f'input.paths=["{tmp_path}/input"]'])
    go(tmp_path / "run", config, until="language")
    make_archive(tmp_path / "input" / "another.warc.gz", [("http://c.example/", "<p>New.</p>", "200")])
    _, reporter = go(tmp_path / "run", config, until="language")
    assert reporter.pending == {"extract": 1, "language": 1, "language.decide": 1}


def test_the_bytes_do_not_depend_on_workers(tmp_path: Path, finished: Run, config_file: Path) -> None:
    go(tmp_path / "two", load(config_file), workers=2)
    assert digests(tmp_path / "two") == digests(finished.root)


def parquet_files(root: Path) -> int:
    """How many there are, while a run at work makes and removes folders."""
    return sum(name.endswith(".parquet") for _, _, names in os.walk(root) for name in names)


@pytest.mark.parametrize("moment", [0.15, 0.5, 0.85])
def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path, finished: Run, config_file: Path, moment: float) -> None:
    """Kill the whole process group once a share of the files that a run makes are there, then run again."""
    total = parquet_files(finished.root)
    root = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        str(config_file),
        "--out",
        str(root),
        "--until",
        "shards",
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while parquet_files(root) < moment * total and process.poll() is None:
        os.sched_yield()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    go(root, load(config_file), workers=2)
    assert digests(root) == digests(finished.root)
    assert not list(root.rglob("*.tmp"))


def test_a_record_that_kills_its_worker_is_counted_at_every_stage(tmp_path: Path, config_file: Path) -> None:
    """What a task does with the rows that an engine tells it to skip (how an engine finds them: test_core_engines)."""
    planned, _ = go(tmp_path / "run", load(config_file), until="language")
    part = planned.parts[0]

    def do(step: Step, retry: Retry) -> None:
        step.run(planned.part_files(step, part), planned.options[step.name], lambda row, units: None, retry)

    def dropped(step: str) -> list[list[str] | None]:
        column: list[list[str] | None] = pq.read_table(planned.file(step, part))["dropped"].to_pylist()
        return column

    whole = pq.read_table(planned.file("extract", part)).to_pylist()
    do(EXTRACT, Retry(frozenset({1}), row_by_row=True))
    again = pq.read_table(planned.file("extract", part)).to_pylist()
    assert again[1]["dropped"] == ["crashed"]
    assert again[1]["text"] is None
    assert again[:1] + again[2:] == whole[:1] + whole[2:]

    do(LANGUAGE, Retry())
    do(LANGUAGE_DECIDE, Retry())
    do(QUALITY, Retry(frozenset({4}), row_by_row=True))
    do(QUALITY_DECIDE, Retry())
    assert dropped("quality.decide")[:6] == [[], None, [], [], ["crashed"], []]


def test_a_run_over_other_input_is_refused(tmp_path: Path, config_file: Path) -> None:
    go(tmp_path / "run", load(config_file), until="extract")
    other = load(config_file, [f'input.paths=["{config_file.parent}/input/one.warc.gz"]'])
    with pytest.raises(UserError, match="holds a run over other input .* choose another directory with --out"):
        go(tmp_path / "run", other)


def test_the_same_input_in_other_words_goes_on(
    tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(config_file.parent / "input", tmp_path / "data")
    monkeypatch.chdir(tmp_path)

    def again(root: str, *paths: str) -> tuple[list[str], tuple[str, ...]]:
        done, quiet = go(tmp_path / root, load(config_file, [f"input.paths={list(paths)}"]), until="extract")
        return quiet.steps, done.config.input.paths

    assert again("run", "data") == (["extract"], ("data",))
    stored = (tmp_path / "run" / "config.json").read_bytes()
    (tmp_path / "link").symlink_to("data")
    for paths in (
        ["./data/"],
        [str(tmp_path / "data")],
        ["data/one.warc.gz", "data/two.warc.gz"],
        ["link"],
        ["d*/*.gz"],
    ):
        assert again("run", *paths) == ([], ("data",)), paths
    assert (tmp_path / "run" / "config.json").read_bytes() == stored
    for paths in (["data/one.warc.gz"], ["data/two.warc.gz", "data/one.warc.gz"]):
        with pytest.raises(
            UserError, match=r"holds a run over other input \(data, not .*choose another directory with --out$"
        ):
            again("run", *paths)
    with pytest.raises(UserError, match=r"other input \(data, with input.text = 'text', not 'body'\); choose another"):
        go(tmp_path / "run", load(config_file, ["input.paths=['data']", "input.text=body"]), until="extract")

    assert again("whole", str(tmp_path / "data"))[0] == ["extract"]
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert again("whole", "../data") == ([], (str(tmp_path / "data"),))
    there = f"was made in {tmp_path}, and its input has relative paths (data); run it there again: cd {tmp_path}"
    with pytest.raises(UserError, match=re.escape(there)):
        again("run", "../data")


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path, config_file: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"not empty and not a run directory \(thesis.txt\)"):
        go(tmp_path / "mine", load(config_file))
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]


def test_a_run_that_is_refused_leaves_no_directory(tmp_path: Path, config_file: Path) -> None:
    with pytest.raises(UserError, match="against"):
        go(tmp_path / "new" / "run", load(config_file, [f'duplicates.against=["{tmp_path}/new/run"]']))
    assert not (tmp_path / "new").exists()


def test_train_of_a_run_without_shards_does_nothing(
    tmp_path: Path, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "run"
    go(root, load(config_file), until="extract")
    before = sorted(root.rglob("*"))
    with pytest.raises(SystemExit) as exit_:
        main(["train", str(root), "--set", "train.steps=1"])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.replace("\n", " ").strip() == (
        f"error: {root}: has not finished its language stage; run first: python -m pipeline run {root} --until shards"
    )
    assert sorted(root.rglob("*")) == before


def test_a_file_of_others_in_a_product_is_named_and_left(tmp_path: Path, go: Any, cli: Any, config_file: Path) -> None:
    done, _ = go(tmp_path / "run")
    clean = done.file("clean", done.parts[0]).parent
    former = clean / "older.warc.gz-0123456789abcd.parquet"
    for name in ("extra.parquet", "README.md", ".hidden", former.name):
        (clean / name).write_bytes(b"x")
    arguments = ["run", str(config_file), "--workers", "1", "--until", "clean", "--out", str(done.root)]
    said = f"{clean / 'README.md'} and 2 more: not written by this run, and left as it is; move it elsewhere"
    for more in (
        [],
        ["--set", "quality.words.min=40"],
    ):  # nothing to do; the step is done again, and knows former parts
        code, out, _ = cli(*arguments, *more)
        assert (code, said in " ".join(out.split())) == (0, True), out
        said = said.replace("2 more", "1 more")
    assert not former.exists()
    assert {file.name for file in clean.iterdir()} >= {"extra.parquet", "README.md", ".hidden"}


def test_one_run_at_a_time(tmp_path: Path, config_file: Path) -> None:
    with lock(tmp_path / "run"):
        holder = rf"process {os.getpid()} on {re.escape(socket.gethostname())}, since \d{{4}}-\d\d-\d\d \d\d:\d\d"
        with pytest.raises(UserError, match=rf"run: another run is using this directory \({holder}"):
            go(tmp_path / "run", load(config_file))
    with lock(tmp_path / "run"):  # free again
        pass
    assert (tmp_path / "run" / ".lock").read_bytes() == b""


@pytest.mark.parametrize(
    ("host", "content", "message"),
    [
        (None, None, r"another run is using this directory \(process \d+ on elsewhere, since noon\)"),
        (
            "",
            None,
            r"locked by process \d+ on .*, since noon, but that process is gone; .* delete .*\.lock and run again",
        ),
        ("", "", "another run is using this directory$"),
        ("", "[]", "another run is using this directory$"),
        ("", '{"host": "a"}', "another run is using this directory$"),
    ],
)
def test_who_holds_a_lock(tmp_path: Path, host: str | None, content: str | None, message: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    if content is None:
        name = socket.gethostname() if host == "" else "elsewhere"
        content = json.dumps({"host": name, "process": child.pid, "since": "noon"})
    (tmp_path / ".lock").write_text(content)
    with open(tmp_path / ".lock", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=message), lock(tmp_path):
            pass
    with lock(tmp_path):  # the file of a process that has ended is no lock
        assert json.loads((tmp_path / ".lock").read_bytes())["process"] == os.getpid()


@pytest.mark.parametrize("name", ["a.jsonl", "a.warc"])
def test_an_input_without_a_record_is_counted_as_such(tmp_path: Path, config_file: Path, name: str) -> None:
    (tmp_path / name).touch()
    config = load(config_file)
    sets = ['url.duplicates="latest"', "duplicates.lines={}"]
    paths = [*config.input.paths, str(tmp_path / name)]
    done, _ = go(tmp_path / "run", load(config_file, [f"input.paths={paths}", *sets]), until="clean")
    assert (stats(done).input, len(done.parts), done.is_done("clean")) == (30, 3, True)
    with pytest.raises(UserError, match="nothing was read"):
        go(tmp_path / "empty", load(config_file, [f"input.paths={paths[-1:]}", *sets]), until="clean")
    assert stats(open_run(tmp_path / "empty")).input == 0


def test_missing_input_is_named_before_any_work(tmp_path: Path, config_file: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        go(tmp_path / "run", load(config_file, ['input.paths=["nowhere/*.warc.gz"]']))


def test_why_has_all_that_is_known_of_a_document(finished: Run) -> None:
    again = open_run(finished.root)
    assert again.keys == finished.keys
    [near] = why(again, "http://b.example/near")
    kept_id = near.stages[-1].values["cluster"]
    [failure] = near.stages[-1].dropped or []
    assert (failure.rule, failure.value) == ("duplicates.minhash", kept_id)
    assert near.clean is None
    assert b"b.example/near" in gzip.decompress(raw_record(near))

    [short] = why(again, "http://a.example/short")
    assert short.stages[2].dropped == [FailedRule(rule="quality.words.min", value=16.0, bound="min = 50")]

    [kept] = why(again, kept_id)
    assert kept.clean
    assert kept.shards
    assert kept.shards.id == kept_id
    assert [stage.dropped for stage in kept.stages] == [[], [], [], []]


def test_samples_are_of_the_rule_asked_for(finished: Run) -> None:
    for rule in ("quality", "quality.words", "quality.words.min", "words.min"):
        [(part, row)] = sample(finished, rule, 5)
        assert why_row(finished, part, row).record.url == "http://a.example/short"
    assert len(list(sample(finished, None, 7))) == 7
    with pytest.raises(UserError, match=r"in this run \(did you mean quality.words.min\?\); rules that did: .*"):
        list(sample(finished, "quality.wrods", 5))


def test_two_runs_are_compared_document_by_document(tmp_path: Path, finished: Run, config_file: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished.root, root)
    changed = ["quality.words.min=3", "quality.sentences.min=22"]  # a page has 24 sentences and its heading
    other, _ = go(root, load(config_file, changed), until="clean")
    report = diff(finished, other)
    assert (report.both, report.first, report.second, report.neither, report.unmatched) == (24, 0, 0, 6, 0)

    other, _ = go(root, load(config_file, ["quality.words.min=3"]), until="clean")
    report = diff(finished, other)
    assert (report.both, report.first, report.second) == (24, 0, 1)
    assert report.second_because == {"quality.words.min": 1}
    assert report.examples.second[0].url == "http://a.example/short"
    assert diff(other, finished).first_because == {"quality.words.min": 1}


def test_runs_over_other_archives_are_matched_by_id(tmp_path: Path, finished: Run, config_file: Path) -> None:
    shutil.copytree(config_file.parent / "input", tmp_path / "input")  # the same records at another place
    config = load(config_file, [f'input.paths=["{tmp_path}/input/two.warc.gz"]'])
    other, _ = go(tmp_path / "run", config, until="clean")
    report = diff(other, finished)
    assert report.unmatched == 0
    assert report.both + report.first + report.second + report.neither == 16
    back = diff(finished, other)
    assert back.unmatched == 14
    assert (back.first, back.second) == (report.second, report.first)


def test_an_unfinished_run_is_not_compared(tmp_path: Path, finished: Run, config_file: Path) -> None:
    other, _ = go(tmp_path / "run", load(config_file), until="extract")
    with pytest.raises(UserError, match="has not finished its language stage"):
        diff(finished, other)


def test_a_run_whose_config_another_version_wrote_is_run_again(tmp_path: Path, config_file: Path) -> None:
    config = load(config_file)
    made, _ = go(tmp_path / "run", config, until="language")
    written = json.loads((made.root / "config.json").read_text())
    (made.root / "config.json").write_text(json.dumps(written | {"later": {"key": 1}}))
    with pytest.raises(UserError, match="not of this version .later: unknown key.*; run it again"):
        open_run(made.root)
    again, reporter = go(tmp_path / "run", config, until="language")
    assert stats(again) == stats(made)
    assert reporter.steps == []
    (made.root / "config.json").write_text("{}")
    with pytest.raises(UserError, match="damaged, or not of this version"):
        go(tmp_path / "run", config, until="language")


def test_shares_are_unknown_while_parts_are_missing(tmp_path: Path, finished: Run) -> None:
    def lines(run: Run) -> dict[str, str]:
        console = Console(file=io.StringIO(), width=160)
        show_stats(stats(run), console)
        assert isinstance(console.file, io.StringIO)
        return {
            stage.name: line
            for stage in stats(run).stages
            for line in console.file.getvalue().splitlines()
            if re.match(rf"\W*{stage.name}\b.*(%|unknown)", line)
        }

    assert all("%" in line for line in lines(finished).values())
    root = tmp_path / "run"
    shutil.copytree(finished.root, root)
    copy = open_run(root)
    copy.file(LANGUAGE_DECIDE, copy.parts[0]).unlink()
    shares = lines(open_run(root))
    assert "%" in shares["extract"]
    assert "unknown" in shares["language"]
    copy.file(LANGUAGE, copy.parts[1]).unlink()
    assert stats(open_run(root)).languages == {}
    copy.file(EXTRACT, copy.parts[0]).unlink()
    assert not any("%" in line for line in lines(open_run(root)).values())


def test_a_run_of_other_code_is_not_taken_for_unfinished(
    finished: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = replace(QUALITY_DECIDE, version=QUALITY_DECIDE.version + 1)
    monkeypatch.setattr(steps, "STEPS", tuple(newer if step is QUALITY_DECIDE else step for step in steps.STEPS))
    run = open_run(finished.root)
    parts = {stage.name: stage.parts for stage in stats(run).stages}
    assert (parts["language"].outdated, parts["quality"].outdated) == (0, len(run.parts))
    for look in (lambda: diff(run, run), lambda: list(sample(run, "quality.words.min", 1))):
        with pytest.raises(UserError, match="its quality stage was made with other settings, code or libraries"):
            look()
    show_stats(stats(run), Console(width=120))
    assert f"quality (0 of {len(run.parts)} parts, {len(run.parts)} outdated)" in capsys.readouterr().out


def test_the_whole_line_ends_in_a_model_that_speaks(tmp_path: Path, finished: Run, config_file: Path) -> None:
    pytest.importorskip("torch", reason="training is an extra")
    from pipeline.tools.generate import generate

    root = tmp_path / "run"
    shutil.copytree(finished.root, root)
    done, _ = go(root, load(config_file), until="train")
    report = stats(done)
    assert report.train
    assert report.train["steps"] == 4
    assert report.tokens == sum(
        json.loads((root / "shards" / "manifest.json").read_text())["splits"][s]["tokens"]
        for s in ("train", "validation")
    )
    text = generate(root, "The river", tokens=5, temperature=0.8, top_k=20, seed=1)
    assert text.startswith("The river")
    assert text == generate(root, "The river", tokens=5, temperature=0.8, top_k=20, seed=1)


def test_the_folder_of_the_model_opens_in_transformers(tmp_path: Path, finished: Run, config_file: Path) -> None:
    pytest.importorskip("torch", reason="training is an extra")
    transformers = pytest.importorskip("transformers")
    from pipeline.tokenize.bpe import Tokenizer
    from pipeline.tools.export import export

    shutil.copytree(finished.root, tmp_path / "run")
    done, _ = go(tmp_path / "run", load(config_file), until="train")
    folder = shutil.copytree(done.root / "train", tmp_path / "alone")
    peer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    ours = Tokenizer.from_file(done.root / "tokenizer")
    assert peer.encode("The river, 2026\n  ") == ours.encode("The river, 2026\n  ")
    end = ours.end_of_text
    for settings in (peer, model.config):
        assert (settings.bos_token_id, settings.eos_token_id, settings.pad_token_id) == (None, end, end)
    (line,) = export(done.root, "megatron", tmp_path / "megatron")
    assert line.endswith(f"--tokenizer-type HuggingFaceTokenizer --tokenizer-model {done.root / 'tokenizer'}")
