"""Shards: exact sizes, the same bytes however documents are spread, the way back from a token, and no half-written state."""

import fcntl
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.files import sweep
from pipeline.tokenize import shard_writer, shards
from pipeline.tokenize.bpe import END_OF_TEXT, Tokenizer, train_bpe
from pipeline.tokenize.encoded import ROW_BYTES, tokens_path

TEXTS = [f"Document {n} says: " + "the fox jumps over the dog. " * (n % 7) + "é" * (n % 3) for n in range(40)]
ROWS = [{"id": f"doc-{n}", "cluster": f"c{n // 2}", "text": text, "row": n} for n, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(TEXTS, 300, (END_OF_TEXT,))


def batches(rows: list[dict[str, Any]], size: int = 7) -> Iterator[pa.RecordBatch]:
    fields = [("id", pa.string()), ("cluster", pa.string()), ("text", pa.string()), ("row", pa.int64())]
    return iter(pa.Table.from_pylist(rows, pa.schema(fields)).to_batches(size))


def build(tokenizer: Tokenizer, folder: Path, parts: list[list[dict[str, Any]]], **options: Any) -> shards.Shards:
    options = {"shard_tokens": 100, "validation": 0.2} | options
    seed = options.pop("seed", 1)
    folder.mkdir(parents=True)
    files = [folder / f"part-{n}.parquet" for n in range(len(parts))]
    for n, (file, rows) in enumerate(zip(files, parts, strict=True)):
        shards.encode_part(tokenizer, batches(rows), file=n, out=file, seed=seed)
    shards.merge_parts(files, folder / "shards", **options)
    return shards.open(folder / "shards")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def streams(opened: shards.Shards) -> dict[str, list[int]]:
    return {name: split.read(0, split.tokens).tolist() for name, split in opened.splits.items()}


def test_how_much_is_read_at_once_does_not_show(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tokenizer, tmp_path / "plain", [ROWS[:25], ROWS[25:]])
    for name, number in (("encoded._DOCUMENTS", 3), ("encoded._BUFFERS", 2), ("encoded._BLOCK_TOKENS", 11)):
        monkeypatch.setattr(f"pipeline.tokenize.{name}", number)
    monkeypatch.setattr("pipeline.tokenize.shard_writer._BLOCK_TOKENS", 13)
    build(tokenizer, tmp_path / "small", [ROWS[:25], ROWS[25:]])
    assert contents(tmp_path / "small") == contents(tmp_path / "plain")


def test_a_token_that_is_none_is_refused_by_its_document(tmp_path: Path) -> None:
    documents = [("a", np.array([1, 2])), ("b", np.array([], np.int64)), ("c", np.array([3, 256]))]
    with pytest.raises(ValueError, match="document c: token 256 is not in 0 … 255"):
        shards.write(tmp_path / "shards", documents, vocab_size=256, end_of_text=0)
    assert list(tmp_path.iterdir()) == []


def test_every_document_is_there_once_with_its_end_of_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    opened = build(tokenizer, tmp_path / "run", [ROWS[:25], ROWS[25:]])
    opened.verify()
    seen = {}
    for name, split in opened.splits.items():
        stream = split.read(0, split.tokens)
        table = opened.documents(name).to_pylist()
        assert [row["start"] for row in table] == [sum(row["length"] for row in table[:i]) for i in range(len(table))]
        assert (split.documents, split.bytes) == (len(table), sum(row["bytes"] for row in table))
        for row in table:
            tokens = stream[row["start"] : row["start"] + row["length"]].tolist()
            original = ROWS[row["row"]]
            assert row["id"] == original["id"]
            assert row["file"] == (0 if row["row"] < 25 else 1)
            assert tokens == [*tokenizer.encode(original["text"]), tokenizer.end_of_text]
            assert row["bytes"] == len(original["text"].encode())
            seen[row["id"]] = name
    assert len(seen) == len(ROWS)
    assert {seen[f"doc-{2 * n}"] == seen[f"doc-{2 * n + 1}"] for n in range(20)} == {True}
    assert 0 < opened.splits["validation"].documents < opened.splits["train"].documents
    assert [row["id"] for row in opened.documents("train").to_pylist()] != sorted(
        row["id"] for row in opened.documents("train").to_pylist()
    )


def test_the_format_on_disk(tokenizer: Tokenizer, tmp_path: Path) -> None:
    opened = build(tokenizer, tmp_path / "run", [ROWS], shard_tokens=64)
    folder = tmp_path / "run" / "shards"
    manifest = json.loads((folder / "manifest.json").read_text())
    expected = {"manifest.json", "documents.parquet"}
    for name, split in manifest["splits"].items():
        files = [shard["file"] for shard in split["shards"]]
        assert files == [f"{name}-{n:05d}.npy" for n in range(-(-split["tokens"] // 64))]
        arrays = [np.load(folder / file) for file in files]
        assert [len(array) for array in arrays] == [64] * (len(files) - 1) + [split["tokens"] - 64 * (len(files) - 1)]
        assert all(array.dtype == np.uint16 and array.ndim == 1 for array in arrays)
        assert np.concatenate(arrays).tolist() == streams(opened)[name]
        expected |= set(files)
    assert {path.name for path in folder.iterdir()} == expected
    assert manifest["tokenizer"] == tokenizer.sha256
    assert (opened.vocab_size, opened.end_of_text) == (300, 299)
    assert list(manifest) == sorted(manifest)
    names = ["split", "start", "length", "id", "file", "row", "bytes", "language"]
    assert pq.read_schema(folder / "documents.parquet").names == names
    # Whole shards of an exact multiple leave no empty one behind.
    total = opened.splits["train"].tokens
    again = build(tokenizer, tmp_path / "exact", [ROWS], shard_tokens=total)
    assert [shard["tokens"] for shard in again.manifest["splits"]["train"]["shards"]] == [total]


def test_the_same_bytes_however_documents_are_spread(tokenizer: Tokenizer, tmp_path: Path) -> None:
    one = build(tokenizer, tmp_path / "one", [ROWS])
    again = build(tokenizer, tmp_path / "again", [ROWS])
    assert contents(one.directory) == contents(again.directory)
    many = build(tokenizer, tmp_path / "many", [ROWS[30:], [], ROWS[:3][::-1], ROWS[3:30][::-1]])
    tables = ("documents.parquet", "manifest.json")  # which file each is of; and the checksum of that
    tokens = {name: data for name, data in contents(one.directory).items() if name not in tables}
    assert tokens == {name: data for name, data in contents(many.directory).items() if name not in tables}
    assert {**one.manifest, "documents": 0} == {**many.manifest, "documents": 0}
    for name in shards.SPLITS:
        assert one.documents(name).drop("file") == many.documents(name).drop("file")
    other = build(tokenizer, tmp_path / "other", [ROWS], seed=2)
    assert streams(other) != streams(one)


@pytest.mark.parametrize("rows", [1, 3, 39])
def test_the_same_bytes_within_any_memory(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    spread = [ROWS[30:], [], ROWS[:3], ROWS[3:30]]
    monkeypatch.setattr("pipeline.tokenize.shard_writer._BLOCK_ROWS", 7)
    for validation in (0.0, 0.2, 1e-9, 1.0):
        whole = build(tokenizer, tmp_path / f"whole-{validation}", spread, validation=validation)
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.tokenize.shard_writer._BLOCK_TOKENS", 5)  # shorter than most documents
            memory = rows * ROW_BYTES
            cut = build(tokenizer, tmp_path / f"cut-{validation}", spread, validation=validation, memory=memory)
        cut.verify()
        for file in sorted(whole.directory.iterdir()):
            assert (cut.directory / file.name).read_bytes() == file.read_bytes()
        assert len(list(cut.directory.iterdir())) == len(list(whole.directory.iterdir()))


def test_equal_ids_keep_the_order_of_part_and_row(tokenizer: Tokenizer, tmp_path: Path) -> None:
    rows = [{"id": "same", "cluster": "x", "text": f"text {n}", "row": n} for n in (2, 0, 1)]
    opened = build(tokenizer, tmp_path / "run", [rows, rows[:1]], validation=0)
    table = opened.documents("train").to_pylist()
    assert [(row["file"], row["row"]) for row in table] == [(0, 0), (0, 1), (0, 2), (1, 2)]
    decoded = tokenizer.decode(opened.splits["train"].read(0, opened.splits["train"].tokens))
    assert decoded == "".join(f"text {n}{END_OF_TEXT}" for n in (0, 1, 2, 2))


def test_null_texts_are_skipped_and_empty_ones_end(tokenizer: Tokenizer, tmp_path: Path) -> None:
    rows = [
        {"id": "a", "cluster": None, "text": None, "row": 0},
        {"id": "b", "cluster": None, "text": "", "row": 1},
        {"id": "c", "cluster": None, "text": "x", "row": 2},
    ]
    opened = build(tokenizer, tmp_path / "run", [rows], validation=0)
    assert sorted(row["id"] for row in opened.documents("train").to_pylist()) == ["b", "c"]
    assert opened.splits["train"].tokens == 3
    assert opened.splits["validation"].read(0, 0).tolist() == []


def test_no_documents_at_all(tokenizer: Tokenizer, tmp_path: Path) -> None:
    opened = build(tokenizer, tmp_path / "run", [[], []])
    opened.verify()
    assert {name: split.tokens for name, split in opened.splits.items()} == {"train": 0, "validation": 0}


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65536, np.uint16), (65537, np.uint32)])
def test_the_dtype_switches_above_65536_ids(tmp_path: Path, vocab_size: int, dtype: type) -> None:
    tokens = np.array([0, vocab_size - 2, 7])
    opened = shards.write(tmp_path / "s", [("a", tokens)], vocab_size=vocab_size, end_of_text=vocab_size - 1)
    read = opened.splits["train"].read(0, 4)
    assert read.dtype == dtype
    assert np.load(tmp_path / "s" / "train-00000.npy").dtype == dtype
    assert read.tolist() == [0, vocab_size - 2, 7, vocab_size - 1]


def test_a_token_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    for token in (-1, 10):
        with pytest.raises(ValueError, match="document bad"):
            shards.write(tmp_path / "s", [("bad", np.array([token]))], vocab_size=10, end_of_text=9)
    assert list(tmp_path.iterdir()) == []


def test_write_leaves_only_the_directory_and_counts_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    documents = [(f"d{n}", rng.integers(0, 9, rng.integers(0, 20))) for n in range(30)]
    sizes = np.arange(10)
    options: dict[str, Any] = {"vocab_size": 10, "end_of_text": 9, "shard_tokens": 33, "validation": 0.3}
    opened = shards.write(tmp_path / "deep" / "s", iter(documents), token_bytes=sizes, **options)
    opened.verify()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["s"]
    by_id = dict(documents)
    for name, split in opened.splits.items():
        ids = [row["id"] for row in opened.documents(name).to_pylist()]
        expected = [token for key in ids for token in [*by_id[key].tolist(), 9]]
        assert split.read(0, split.tokens).tolist() == expected
        assert split.bytes == sum(int(sizes[by_id[key]].sum()) for key in ids)
    assert opened.splits["train"].documents + opened.splits["validation"].documents == 30


def test_locate_every_token(tokenizer: Tokenizer, tmp_path: Path) -> None:
    opened = build(tokenizer, tmp_path / "run", [ROWS[:11], ROWS[11:]], shard_tokens=37)
    for name, split in opened.splits.items():
        position = 0
        for row in opened.documents(name).to_pylist():
            expected = shards.Document(**{key: row[key] for key in ("id", "file", "row", "start", "length")})
            for _ in range(row["length"]):
                assert opened.locate(name, position) == expected
                position += 1
        assert position == split.tokens
        for outside in (-1, split.tokens):
            with pytest.raises(IndexError):
                opened.locate(name, outside)


def test_read_crosses_shard_borders(tokenizer: Tokenizer, tmp_path: Path) -> None:
    opened = build(tokenizer, tmp_path / "run", [ROWS], shard_tokens=16)
    split = opened.splits["validation"]
    whole = split.read(0, split.tokens).tolist()
    for start in range(0, split.tokens, 5):
        for length in (0, 1, 15, 16, 17, 40):
            if start + length <= split.tokens:
                assert split.read(start, length).tolist() == whole[start : start + length]
    for start, length in ((0, split.tokens + 1), (-1, 1), (split.tokens, 1), (0, -1)):
        with pytest.raises(IndexError):
            split.read(start, length)
    split.read(0, 4)[:] = 0  # a copy: the shards stay as they are
    assert split.read(0, 4).tolist() == whole[:4]


def test_small_corpora_still_get_both_splits(tokenizer: Tokenizer, tmp_path: Path) -> None:
    def documents(folder: str, rows: list[dict[str, Any]], validation: float) -> list[int]:
        opened = build(tokenizer, tmp_path / folder, [rows], validation=validation)
        return [opened.splits[name].documents for name in shards.SPLITS]

    apart = [row | {"cluster": row["id"]} for row in ROWS[:5]]
    together = [row | {"cluster": "all"} for row in ROWS[:5]]
    assert documents("a", apart, 1e-9) == [4, 1]
    assert documents("b", apart, 1 - 1e-9) == [1, 4]
    assert documents("c", apart, 0) == [5, 0]
    assert documents("d", apart, 1) == [0, 5]
    assert documents("e", together, 1e-9) == [5, 0]
    assert documents("f", ROWS[:4], 1e-9) == [2, 2]


def test_a_failed_part_leaves_nothing(tokenizer: Tokenizer, tmp_path: Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield next(batches(ROWS))
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        shards.encode_part(tokenizer, failing(), file=0, out=tmp_path / "p.parquet", seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("moment", ["write_array_header_1_0", "_write_documents", "json", "rename"])
def test_a_failed_merge_leaves_the_older_directory_or_none(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, older: bool
) -> None:
    build(tokenizer, tmp_path / "run", [ROWS])
    folder = tmp_path / "run" / "shards"
    before = contents(folder)
    if not older:
        shutil.rmtree(folder)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    targets = {"write_array_header_1_0": np.lib.format, "_write_documents": shard_writer, "json": json, "rename": os}
    monkeypatch.setattr(targets[moment], "dumps" if moment == "json" else moment, fail)
    with pytest.raises(OSError, match="No space"):
        shards.merge_parts([tmp_path / "run" / "part-0.parquet"], folder, 50, 0.5)
    monkeypatch.undo()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"part-0.parquet", "part-0.tokens"} | (
        {"shards"} if older else set()
    )
    if older:
        assert contents(folder) == before
    shards.merge_parts([tmp_path / "run" / "part-0.parquet"], folder, 100, 0.2)
    assert contents(folder) == before


def test_leftovers_of_a_killed_run_change_nothing(tokenizer: Tokenizer, tmp_path: Path) -> None:
    before = contents(build(tokenizer, tmp_path / "clean", [ROWS]).directory)
    for name in (".shards.1.tmp", ".shards.1.old.tmp", ".shards.mixing.1.tmp"):
        (tmp_path / "killed" / name).mkdir(parents=True)
        (tmp_path / "killed" / name / "train-99999.npy").write_bytes(b"half")
    for name in (".part-0.parquet.spool.1.tmp", ".part-0.parquet.1.tmp", ".part-0.tokens.1.tmp"):
        (tmp_path / "killed" / name).write_bytes(b"half")
    file = tmp_path / "killed" / "part-0.parquet"
    shards.encode_part(tokenizer, batches(ROWS), file=0, out=file, seed=1, metadata={"key": "k"})
    shards.merge_parts([file], tmp_path / "killed" / "shards", 100, 0.2)
    assert contents(tmp_path / "killed" / "shards") == before
    sweep(tmp_path / "killed")
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {"part-0.parquet", "part-0.tokens", "shards"}
    assert pq.read_schema(file).metadata[b"key"] == b"k"


_KILLED = """
import os, sys
from pathlib import Path
import numpy as np
import pyarrow.parquet as pq
from pipeline.tokenize import encoded, shard_writer, shards
def killed(*_, **__):
    os._exit(9)
target, name, folder = {"pq": pq, "encoded": encoded, "shard_writer": shard_writer}[sys.argv[1]], sys.argv[2], Path(sys.argv[3])
setattr(target, name, killed)
shards.write(folder / "s", [("a", np.array([1]))], vocab_size=3, end_of_text=2)
"""


@pytest.mark.parametrize("moment", ["pq write_table", "encoded atomic", "shard_writer _write_shards"])
def test_what_a_kill_leaves_is_swept(tmp_path: Path, moment: str) -> None:
    code = [sys.executable, "-c", _KILLED, *moment.split(), str(tmp_path)]
    assert subprocess.run(code, cwd=Path(__file__).parents[1], check=False).returncode == 9
    assert list(tmp_path.iterdir())
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_parts_that_do_not_belong_together_are_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        shards.encode_part(tokenizer, batches(ROWS[:3]), file=0, out=tmp_path / f"{name}.parquet", seed=seed)
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    with pytest.raises(UserError, match=r"b\.parquet: encoded with a different seed than .*a\.parquet$"):
        shards.merge_parts(files, tmp_path / "s", 10, 0)
    with pytest.raises(UserError, match="no encoded part"):
        shards.merge_parts([], tmp_path / "s", 10, 0)
    with pytest.raises(UserError, match=r"c\.parquet"):
        shards.merge_parts([tmp_path / "c.parquet"], tmp_path / "s", 10, 0)
    (tmp_path / "a.tokens").write_bytes(b"xx")
    with pytest.raises(UserError, match=r"a\.tokens: its size"):
        shards.merge_parts(files[:1], tmp_path / "s", 10, 0)
    for shard_tokens, validation in ((0, 0.1), (10, -0.1), (10, 1.1)):
        with pytest.raises(UserError, match="shard_tokens"):
            shards.merge_parts(files[1:], tmp_path / "s", shard_tokens, validation)
    assert not (tmp_path / "s").exists()


def test_one_wrong_bit_of_an_encoded_part_is_noticed(tokenizer: Tokenizer, tmp_path: Path) -> None:
    index = tmp_path / "a.parquet"
    shards.encode_part(tokenizer, batches(ROWS), file=0, out=index, seed=1)
    shards.merge_parts([index], tmp_path / "shards", 100, 0.2)
    expected, silent = contents(tmp_path / "shards"), []
    for file in (index, tokens_path(index)):
        whole = file.read_bytes()
        draw = random.Random(3)
        for position in [draw.randrange(len(whole)) for _ in range(40)]:
            file.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
            with suppress(UserError):
                shards.merge_parts([index], tmp_path / "shards", 100, 0.2)
                silent.append(file)
                assert contents(tmp_path / "shards") == expected  # a bit that nothing here reads
        file.write_bytes(whole)
    assert tokens_path(index) not in silent


def test_a_tokenizer_without_end_of_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="endoftext"):
        shards.encode_part(train_bpe(["x"], 256), batches(ROWS), file=0, out=tmp_path / "p", seed=0)


def test_open_names_the_file_that_is_wrong(tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = build(tokenizer, tmp_path / "run", [ROWS]).directory

    def broken(name: str, data: bytes | None, *, verify: bool = False) -> None:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        if data is None:
            (copy / name).unlink()
        else:
            (copy / name).write_bytes(data)
        if verify:  # what opening cannot see
            opened = shards.open(copy)
        with pytest.raises(UserError, match=name.replace(".", r"\.")) as said:
            opened.verify() if verify else shards.open(copy)
        assert "\n" not in str(said.value)

    shard = (folder / "train-00001.npy").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    broken("manifest.json", None)
    broken("manifest.json", b"{")
    broken("manifest.json", b"[]")
    broken("manifest.json", b"{}")
    broken("manifest.json", json.dumps(manifest | {"version": 99}).encode())
    broken("manifest.json", json.dumps(manifest | {"splits": {"train": {}}}).encode())
    broken("train-00001.npy", None)
    broken("train-00001.npy", b"")
    broken("train-00001.npy", shard[:-2])
    broken("train-00001.npy", shard + b"xx")
    broken("train-00001.npy", shard[:-2] + b"\0\0", verify=True)
    broken("documents.parquet", None)
    broken("documents.parquet", b"")
    fewer = build(tokenizer, tmp_path / "fewer", [ROWS[1:]]).directory
    broken("documents.parquet", (fewer / "documents.parquet").read_bytes())
    other = build(tokenizer, tmp_path / "other", [[*ROWS[1:], ROWS[0] | {"text": "Another text."}]]).directory
    broken("documents.parquet", (other / "documents.parquet").read_bytes(), verify=True)
    shards.open(folder).verify()
    digest = hashlib.sha256((other / "documents.parquet").read_bytes()).hexdigest()
    forged = manifest | {"documents": [manifest["documents"][0] | {"sha256": digest}]}
    (folder / "manifest.json").write_text(json.dumps(forged))
    shutil.copy(other / "documents.parquet", folder)
    with pytest.raises(UserError, match="do not match the manifest's"):
        shards.open(folder).verify()


def test_shards_of_another_tokenizer_are_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    other = train_bpe(TEXTS[::3], tokenizer.vocab_size, (END_OF_TEXT,))
    assert (other.vocab_size, other.end_of_text) == (tokenizer.vocab_size, tokenizer.end_of_text)
    assert other.sha256 != tokenizer.sha256
    folder = build(tokenizer, tmp_path / "run", [ROWS]).directory
    assert shards.open(folder, tokenizer).manifest["tokenizer"] == tokenizer.sha256
    with pytest.raises(
        UserError, match=r"shards: encoded with another tokenizer .*; python -m pipeline run … makes them again$"
    ):
        shards.open(folder, other)
    files = [
        encoded(tokenizer, tmp_path / "a.parquet", ROWS[:9], 0),
        encoded(other, tmp_path / "b.parquet", ROWS[9:], 1),
    ]
    with pytest.raises(UserError, match=r"b\.parquet: encoded with a different tokenizer than .*a\.parquet$"):
        shards.merge_parts(files, tmp_path / "s", 100, 0.2)
    unnamed = shards.write(tmp_path / "w", [("a", np.array([1]))], vocab_size=3, end_of_text=2)
    assert shards.open(unnamed.directory, other).vocab_size == 3


def test_reading_shards_loads_no_encoder() -> None:
    code = "import sys, pipeline.tokenize.shards; print([m for m in ('fastokens', 'tokenizers', 'numba', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.stdout.strip() == "[]", done.stderr


def encoded(tokenizer: Tokenizer, file: Path, rows: list[dict[str, Any]], part: int, seed: int = 1) -> Path:
    shards.encode_part(tokenizer, batches(rows), file=part, out=file, seed=seed)
    return file


def test_appending_writes_nothing_again_and_readers_see_both(tokenizer: Tokenizer, tmp_path: Path) -> None:
    early = build(tokenizer, tmp_path / "run", [ROWS[:21]])
    folder = early.directory
    before, old = contents(folder), streams(early)
    more = [
        encoded(tokenizer, tmp_path / f"{n}.parquet", rows, n) for n, rows in enumerate((ROWS[30:], ROWS[21:30]), 1)
    ]
    late = shards.append(folder, more, {"source": "later"})
    after = contents(folder)
    assert {name: data for name, data in after.items() if name in before and name != "manifest.json"} == {
        name: data for name, data in before.items() if name != "manifest.json"
    }
    assert streams(early) == old  # a reader that was open goes on
    late.verify()
    alone = build(tokenizer, tmp_path / "alone", [[], ROWS[30:], ROWS[21:30]], validation=0)
    together = build(tokenizer, tmp_path / "together", [ROWS])
    for name, split in late.splits.items():
        new = late.documents(name).slice(early.splits[name].documents).to_pylist()
        assert late.documents(name).slice(0, early.splits[name].documents) == early.documents(name)
        order = [row["id"] for row in alone.documents("train").to_pylist()]
        assert [row["id"] for row in new] == [key for key in order if key in {row["id"] for row in new}]
        # The same documents are held out as if all had come at once, so no cluster straddles.
        assert set(late.documents(name)["id"].to_pylist()) == set(together.documents(name)["id"].to_pylist())
        assert streams(late)[name][: len(old[name])] == old[name]
        position = 0
        for row in late.documents(name).to_pylist():
            assert row["start"] == position
            found = late.locate(name, position)
            assert (found.id, found.file, found.row) == (row["id"], row["file"], row["row"])
            tokens = split.read(position, row["length"]).tolist()
            assert tokens == [*tokenizer.encode(ROWS[row["row"]]["text"]), tokenizer.end_of_text]
            position += row["length"]
        assert position == split.tokens
        sizes = [len(shard) for shard in split.shards]
        assert max(sizes) <= 100
    assert late.manifest["appended"] == [
        {
            "documents": 19,
            "tokens": sum(row["length"] for row in alone.documents("train").to_pylist()),
            "source": "later",
        }
    ]
    # Again, and with nothing at all.
    shards.append(folder, [encoded(tokenizer, tmp_path / "none.parquet", [], 3)]).verify()
    assert [table["file"] for table in shards.open(folder).manifest["documents"]] == [
        "documents.parquet", "documents-00001.parquet", "documents-00002.parquet"
    ]  # fmt: skip


def test_an_append_is_the_same_bytes_however_documents_are_spread(tokenizer: Tokenizer, tmp_path: Path) -> None:
    for name, parts in (("one", [ROWS[20:]]), ("many", [ROWS[33:][::-1], ROWS[20:33]])):
        folder = build(tokenizer, tmp_path / name, [ROWS[:20]]).directory
        files = [encoded(tokenizer, tmp_path / f"{name}-{n}.parquet", rows, 7) for n, rows in enumerate(parts)]
        shards.append(folder, files)
    assert contents(tmp_path / "one" / "shards") == contents(tmp_path / "many" / "shards")


@pytest.mark.parametrize("moment", ["write_array_header_1_0", "_write_documents", "dumps", "replace"])
def test_a_failed_append_leaves_what_was(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    folder = build(tokenizer, tmp_path / "run", [ROWS[:20]]).directory
    before = contents(folder)
    file = encoded(tokenizer, tmp_path / "new.parquet", ROWS[20:], 1)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    targets = {"write_array_header_1_0": np.lib.format, "_write_documents": shard_writer, "dumps": json, "replace": os}
    monkeypatch.setattr(targets[moment], moment, fail)
    with pytest.raises(OSError, match="No space"):
        shards.append(folder, [file])
    monkeypatch.undo()
    assert contents(folder) == before
    # A kill sweeps nothing; what it left is written over.
    (folder / "train-00099.npy").write_bytes(b"half")
    (folder / f"train-{len(shards.open(folder).splits['train'].shards):05d}.npy").write_bytes(b"half")
    shards.append(folder, [file]).verify()
    assert not (folder / "train-00099.npy").exists()


def test_what_cannot_be_appended(tokenizer: Tokenizer, tmp_path: Path) -> None:
    folder = build(tokenizer, tmp_path / "run", [ROWS[:20]]).directory
    before = contents(folder)
    with pytest.raises(UserError, match="document doc-19 is already in it"):
        shards.append(folder, [encoded(tokenizer, tmp_path / "double.parquet", ROWS[19:25], 1)])
    with pytest.raises(UserError, match=r"other\.parquet: encoded with seed 2, but .* has 1"):
        shards.append(folder, [encoded(tokenizer, tmp_path / "other.parquet", ROWS[20:], 1, seed=2)])
    with pytest.raises(UserError, match="none: No such file"):
        shards.append(tmp_path / "none", [tmp_path / "double.parquet"])
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="another process is appending"):
        shards.append(folder, [tmp_path / "double.parquet"])
    os.close(lock)
    assert contents(folder) == before


def test_a_part_without_documents_has_no_row_group_and_opens_in_datasets(tokenizer: Tokenizer, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = [str(tmp_path / f"{name}.parquet") for name in ("none", "all")]
    for file, rows in zip(files, ([], ROWS), strict=True):
        shards.encode_part(tokenizer, batches(rows), file=0, out=Path(file), seed=1)
    assert pq.ParquetFile(files[0]).num_row_groups == 0
    opened = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    assert [row["id"] for row in opened] == pq.read_table(files[1], partitioning=None)["id"].to_pylist()
