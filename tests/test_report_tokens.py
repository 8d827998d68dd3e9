"""From a token to the web and back, over a small run."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import main
from pipeline.core.plain_values import plain_values
from pipeline.report.tokens import LanguageFigures, find_token, tokens
from pipeline.run.run import Run, open_run
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import Tokenizer


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, config_file: Path) -> Run:
    root = tmp_path_factory.mktemp("tokens") / "run"
    arguments = ["run", str(config_file), "--out", str(root), "--until", "shards", "--workers", "1"]
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert not exit_.value.code
    return open_run(root)


def clean_texts(run: Run) -> dict[str, str]:
    tables = [pq.read_table(file, columns=["id", "text"]) for file in sorted((run.root / "clean").glob("*.parquet"))]
    return {row["id"]: row["text"] for table in tables for row in table.to_pylist()}


def test_a_token_leads_to_its_place_in_its_text(finished: Run) -> None:
    texts = clean_texts(finished)
    opened = shards.open(finished.root / "shards")
    for name, split in opened.splits.items():
        ends = [row["start"] + row["length"] - 1 for row in opened.documents(name).to_pylist()]
        for position in [*range(0, split.tokens, 211), *ends[:3]]:
            place = find_token(finished, name, position)
            text = texts[place.document.id].encode()
            start, end = place.text_start, place.text_end
            if start == end:
                assert (place.id, start) == (opened.end_of_text, len(text))
                assert position in ends
            else:
                assert text[start:end].decode("utf-8", "backslashreplace") == place.bytes
                assert place.before.endswith(text[:start].decode()[-5:])
                assert place.after.startswith(text[end:].decode()[:5])
            assert np.load(place.shard)[place.offset] == place.id


def test_why_token_explains_its_document(finished: Run, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(finished.root)
    code, out, err = call(capsys, "why", root, "--token", "5000")
    assert (code, err) == (0, "")
    assert "token 5,000 of train: " in out
    assert "train-00001.npy, offset 0" in out  # shards of 5,000 tokens
    assert "one.warc.gz, bytes" in out or "two.warc.gz, bytes" in out
    assert "quality: kept" in out
    documents = json.loads(call(capsys, "why", root, "--token", "0", "--split", "validation", "--json")[1])
    assert len(documents) == 1
    assert documents[0]["token"]["document"]["id"] == documents[0]["record"]["id"]
    assert documents[0]["shards"]["split"] == "validation"
    assert documents[0]["shards"]["start"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: why: give a URL or document id, or --token N"),
        (["http://a.example/3", "--token", "1"], "error: why: give a URL or document id, or --token N"),
        (["--token", "99999999"], "error: --token 99999999: the train split has tokens 0 to "),
        (["--token", "-1"], "error: --token -1: the train split has tokens 0 to "),
        (["--token", "1", "--split", "test"], "error: --split test: unknown; known: train, validation"),
        (
            ["--token", "1", "--split", "trian"],
            "error: --split trian: unknown (did you mean train?); known: train, validation",
        ),
    ],
)
def test_why_token_refuses_in_one_line(
    finished: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = call(capsys, "why", str(finished.root), *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_the_account_of_tokens_adds_up(finished: Run, capsys: pytest.CaptureFixture[str]) -> None:
    report = tokens(finished)
    tokenizer = Tokenizer.from_file(finished.root / "tokenizer")
    texts = clean_texts(finished)
    encoded = {name: tokenizer.encode(text) for name, text in texts.items()}
    count = sum(map(len, encoded.values()))
    size = sum(len(text.encode()) for text in texts.values())
    assert sum(split.documents for split in report.splits.values()) == len(texts)
    assert sum(split.tokens for split in report.splits.values()) == count + len(texts)
    assert report.languages == {
        "en": LanguageFigures(documents=24, tokens=count + 24, bytes=size, bytes_per_token=size / count)
    }
    used = {number for ids in encoded.values() for number in ids}
    unused = [number for number in range(299) if number not in used]
    assert report.unused.count == len(unused)
    assert [entry.id for entry in report.unused.first] == unused[:20]
    lengths = [entry.bytes for entry in report.longest]
    assert lengths == sorted((len(tokenizer.vocab[number]) for number in range(299)), reverse=True)[:20]
    for entry in report.longest:
        assert entry.count == sum(ids.count(entry.id) for ids in encoded.values())
    for sample in report.samples:
        assert texts[sample.id].startswith(sample.text)

    code, out, err = call(capsys, "tokens", str(finished.root))
    assert (code, err) == (0, "")
    for title in ("validation", "bytes per token", "longest tokens", f"unused tokens ({len(unused)})", "samples"):
        assert title in out
    assert json.loads(call(capsys, "tokens", str(finished.root), "--json")[1]) == plain_values(report)


def test_no_shards_no_tokens(finished: Run, capsys: pytest.CaptureFixture[str]) -> None:
    table = finished.root / "shards" / "documents.parquet"
    table.rename(table.with_suffix(".away"))
    try:
        for arguments in (["tokens", str(finished.root)], ["why", str(finished.root), "--token", "0"]):
            code, out, err = call(capsys, *arguments)
            assert (code, out) == (2, "")
            assert (
                "documents.parquet: missing, or changed since it was written; run first: python -m pipeline run" in err
            )
    finally:
        table.with_suffix(".away").rename(table)


@pytest.mark.parametrize("key", ["tokenizer.memory", "shards.memory"])
def test_a_budget_below_what_libraries_take_is_refused_before_any_work(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    common = ["run", str(config_file), "--out", str(tmp_path / "run"), "--workers", "1"]
    code, _, said = call(capsys, *common, "--set", f"{key}=599MB")
    assert (code, said.count("\n")) == (2, 1)
    assert f"{key}: at least 600MB are needed; libraries and encoder take 550MB" in said
    assert not (tmp_path / "run").exists()
    assert call(capsys, *common, "--until", "shards", "--set", f"{key}=600MB")[0] == 0


def test_a_later_run_takes_the_tokenizer_of_an_earlier_one(
    finished: Run, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = finished.root / "tokenizer" / "tokenizer.json"
    common = ["run", str(config_file), "--out", str(tmp_path / "run"), "--until", "shards", "--workers", "1"]
    code, _, said = call(capsys, *common, "--set", f"tokenizer.file={tmp_path}/none.json")
    assert (code, said.count("\n")) == (2, 1)
    assert "tokenizer.file:" in said
    assert "none.json: No such file" in said
    (tmp_path / "broken.json").write_text(file.read_text()[:-1000])
    code, _, said = call(capsys, *common, "--set", f"tokenizer.file={tmp_path}/broken.json")
    assert (code, said.count("\n")) == (2, 1)
    assert "tokenizer.file:" in said
    assert "broken.json: not a tokenizer.json of byte-level BPE" in said
    assert not (tmp_path / "run").exists()
    assert call(capsys, *common, "--set", f"tokenizer.file={file}")[0] == 0
    assert (tmp_path / "run" / "tokenizer" / "tokenizer.json").read_bytes() == file.read_bytes()
    for name in ("manifest.json", "train-00000.npy"):
        assert (tmp_path / "run" / "shards" / name).read_bytes() == (finished.root / "shards" / name).read_bytes()
    report = json.loads((tmp_path / "run" / "tokenizer" / "report.json").read_text())
    assert report == json.loads((finished.root / "tokenizer" / "report.json").read_text())
    # One without an end of text gets it behind its own.
    tokenizer = Tokenizer.from_file(file)
    plain = {number: token for number, token in tokenizer.vocab.items() if number != tokenizer.end_of_text}
    Tokenizer(plain, tokenizer.merges, (), tokenizer.pattern).save(tmp_path / "plain.json")
    assert call(capsys, *common, "--set", f"tokenizer.file={tmp_path}/plain.json")[0] == 0
    made = Tokenizer.from_file(tmp_path / "run" / "tokenizer")
    assert (made.end_of_text, made.merges) == (max(plain) + 1, tokenizer.merges)
