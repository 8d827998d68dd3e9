"""Products of older settings are told as what they are; a run goes on from its own config; diff says what it compares."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.report.diff import diff
from pipeline.report.stats import stats
from pipeline.run.run import check_shards, open_run, own_config

Go = Callable[..., tuple[Any, list[str]]]
Cli = Callable[..., tuple[int, str, str]]


def test_products_of_other_settings_are_named(tmp_path: Path, go: Go, cli: Cli) -> None:
    root = tmp_path / "run"
    done, _ = go(root, until="train")
    assert done.outdated_products() == []
    changed, _ = go(root, ["quality.words.min=51"])
    assert changed.outdated_products() == ["tokenizer", "shards", "train"]
    assert stats(changed).outdated == ("tokenizer", "shards", "train")
    code, out, _ = cli("stats", str(root))
    assert code == 0
    assert "outdated, made with other settings, code or libraries: tokenizer, shards, train" in out
    why = "was made with other settings, code or libraries; run first: python -m pipeline run"
    for command in (["generate", str(root), "--prompt", "a"], ["tokens", str(root)], ["train", str(root)]):
        code, out, err = cli(*command)
        assert (code, out) == (2, "")
        assert why in " ".join(err.split())
    with pytest.raises(UserError, match=f"its tokenizer stage {why} {root} --until shards"):
        check_shards(root)
    again, _ = go(root, ["quality.words.min=51"], until="train")
    assert again.outdated_products() == []


def test_the_end_of_a_run_names_outdated_products(tmp_path: Path, config_file: Path, cli: Cli) -> None:
    arguments = ["run", str(config_file), "--out", str(tmp_path / "run"), "--workers", "1"]
    assert cli(*arguments, "--until", "tokenizer")[0] == 0
    code, out, err = cli(*arguments, "--until", "clean", "--set", "quality.words.min=51")
    line = f"outdated, made with other settings, code or libraries: tokenizer; python -m pipeline run {tmp_path}/run"
    assert code == 0
    assert f"{line} --until tokenizer makes it again" in " ".join((out + err).split())
    code, out, err = cli(*arguments, "--until", "clean", "--set", "quality.words.min=99999")
    assert code == 2
    assert "outdated, made with other settings, code or libraries: clean, tokenizer;" in " ".join((out + err).split())


def test_a_run_goes_on_from_its_own_config(tmp_path: Path, config_file: Path, cli: Cli) -> None:
    root = tmp_path / "run"
    options = ["--workers", "1", "--until", "clean"]
    assert cli("run", str(config_file), "--out", str(root), "--set", "quality.words.min=51", *options)[0] == 0
    before = (root / "config.json").read_bytes()
    assert cli("run", str(root), *options)[0] == 0
    assert (root / "config.json").read_bytes() == before
    assert cli("run", str(root), "--workers", "1", "--set", "quality.words.min=52")[0] == 0
    assert open_run(root).is_done("clean")
    assert not (root / "tokenizer").exists()  # no further than it was
    assert open_run(root).last_stage() == "clean"
    assert cli("run", str(root), "--set", "quality.words.max=5000", *options)[0] == 0
    words = own_config(root, []).quality["words"]
    assert (words.min, words.max) == (52, 5000)
    code, _, err = cli("run", str(root), "--set", "quality.wrods.max=5000", *options)
    assert code == 2
    assert "quality.wrods: unknown" in err


def test_diff_counts_texts_that_differ(tmp_path: Path, go: Go) -> None:
    one, _ = go(tmp_path / "one")
    two, _ = go(tmp_path / "two", ["edit.blank_lines=true", "edit.min_line_words=20"])
    report = diff(one, two)
    assert report.both
    assert report.other_text
    assert 0 < report.other_text <= report.both
    assert diff(one, one).other_text == 0
    early, _ = go(tmp_path / "early", until="duplicates")
    assert diff(one, early).other_text is None


def test_diff_of_other_input(tmp_path: Path, go: Go) -> None:
    one, _ = go(tmp_path / "one")
    archive = one.parts[0].pieces[0].path
    half, _ = go(tmp_path / "half", [f"input.paths=['{archive}']"])
    report, back = diff(one, half), diff(half, one)
    assert report.unmatched == back.unmatched_second > 0
    assert report.unmatched_second == back.unmatched == 0
    lines = tmp_path / "x.jsonl"
    lines.write_text(
        "".join(
            f'{{"id": "{n}", "text": "{f"the words of {n} and that, which have to be with it, " * 30}"}}\n'
            for n in range(3)
        )
    )
    other, _ = go(tmp_path / "other", [f"input.paths=['{lines}']"])
    with pytest.raises(UserError, match="no record of the one is in the other"):
        diff(one, other)


def test_files_of_the_last_run_that_are_gone_are_named(tmp_path: Path, config_file: Path, cli: Cli) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        text = f"the words of {name} and that, which have to be with it, " * 30
        (folder / f"{name}.jsonl").write_text(f'{{"id": "{name}", "text": "{text}"}}\n')
    arguments = ["run", str(config_file), "--out", str(tmp_path / "run"), "--workers", "1", "--until", "extract"]
    arguments += ["--set", f"input.paths=['{folder}']"]
    assert cli(*arguments)[0] == 0
    (folder / "a.jsonl").unlink()
    (folder / "c.jsonl").unlink()
    code, out, err = cli(*arguments)
    assert code == 0
    said = " ".join((out + err).split())
    assert f"{folder}/a.jsonl and 1 more: in the input of the last run, and not there any more" in said
