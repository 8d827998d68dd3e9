"""Exports, read back byte by byte as the published formats are described, and by the readers' own one-liners."""

import gzip
import pickle
import shlex
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import main
from pipeline.errors import UserError
from pipeline.tokenize import shards
from pipeline.tokenize.exports import FORMATS, Format, llmc, megatron, megatron_arguments, nanogpt, olmo, parquet
from pipeline.tools.export import export

DOCUMENTS = [(f"d{n}", np.random.default_rng(n).integers(0, 99, n % 9 * 3)) for n in range(50)]


@pytest.fixture(scope="module", params=[100, 70_000])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> shards.Shards:
    """uint16 and uint32."""
    size = int(request.param)
    folder = tmp_path_factory.mktemp("shards") / "s"
    documents = [(name, np.append(tokens, size - 2)) for name, tokens in DOCUMENTS]
    return shards.write(folder, documents, vocab_size=size, end_of_text=size - 1, shard_tokens=64, validation=0.3)


def documents_of(opened: shards.Shards, split: str) -> list[list[int]]:
    by_id = dict(DOCUMENTS)
    ids = opened.documents(split)["id"].to_pylist()
    assert ids
    return [[*by_id[name].tolist(), opened.vocab_size - 2, opened.vocab_size - 1] for name in ids]


def test_megatron_by_its_published_layout(opened: shards.Shards, tmp_path: Path) -> None:
    written = megatron(opened, tmp_path)
    assert sorted(written) == sorted(tmp_path.iterdir())
    for name in opened.splits:
        expected = documents_of(opened, name)
        index = (tmp_path / f"{name}.idx").read_bytes()
        assert index[:9] == b"MMIDIDX\x00\x00"
        version, code, sequences, bounds = struct.unpack_from("<QBQQ", index, 9)
        assert (version, code) == (1, 8 if opened.vocab_size == 100 else 4)
        assert (sequences, bounds) == (len(expected), len(expected) + 1)
        at = 9 + 8 + 1 + 8 + 8
        lengths = np.frombuffer(index, "<i4", sequences, at)
        pointers = np.frombuffer(index, "<i8", sequences, at + 4 * sequences)
        ends = np.frombuffer(index, "<i8", bounds, at + 12 * sequences)
        assert len(index) == at + 12 * sequences + 8 * bounds
        assert ends.tolist() == list(range(bounds))
        assert lengths.tolist() == [len(document) for document in expected]
        data = (tmp_path / f"{name}.bin").read_bytes()
        dtype = np.dtype("<u2" if code == 8 else "<i4")
        assert len(data) == dtype.itemsize * sum(map(len, expected))
        for pointer, length, document in zip(pointers.tolist(), lengths.tolist(), expected, strict=True):
            assert np.frombuffer(data, dtype, length, pointer).tolist() == document


def test_nanogpt_by_memmap(opened: shards.Shards, tmp_path: Path) -> None:
    assert nanogpt(opened, tmp_path) == [tmp_path / name for name in ("meta.pkl", "train.bin", "val.bin")]
    assert pickle.loads((tmp_path / "meta.pkl").read_bytes()) == {"vocab_size": opened.vocab_size}
    dtype = np.uint16 if opened.vocab_size == 100 else np.uint32
    for name, file in (("train", "train.bin"), ("validation", "val.bin")):
        data = np.memmap(tmp_path / file, dtype=dtype, mode="r")
        assert data.tolist() == [token for document in documents_of(opened, name) for token in document]
        assert (tmp_path / file).stat().st_size == data.nbytes


def test_llmc_by_its_header(opened: shards.Shards, tmp_path: Path) -> None:
    written = llmc(opened, tmp_path)
    assert sorted(written) == sorted(tmp_path.iterdir())
    for name, pattern in (("train", "train_*.bin"), ("validation", "val_*.bin")):
        stream: list[int] = []
        files = sorted(tmp_path.glob(pattern))
        assert [file.name[-10:] for file in files] == [f"{n:06d}.bin" for n in range(len(files))]
        for file in files:
            data = file.read_bytes()
            header = np.frombuffer(data, "<i4", 256)
            expected = (20240520, 1) if opened.vocab_size == 100 else (20240801, 7)
            assert (header[0], header[1]) == expected
            assert not header[3:].any()
            tokens = np.frombuffer(data, "<u2" if opened.vocab_size == 100 else "<u4", offset=1024)
            assert len(tokens) == header[2] <= 64
            stream += tokens.tolist()
        assert stream == [token for document in documents_of(opened, name) for token in document]


def test_parquet_is_a_dataset(opened: shards.Shards, tmp_path: Path) -> None:
    files = parquet(opened, tmp_path)
    assert [file.name for file in files] == ["train.parquet", "validation.parquet"]
    for name, file in zip(opened.splits, files, strict=True):
        rows = pq.read_table(file).to_pylist()
        assert [row["input_ids"] for row in rows] == documents_of(opened, name)
        places = opened.documents(name).to_pylist()
        for column in ("id", "file", "row", "bytes", "language"):
            assert [row[column] for row in rows] == [place[column] for place in places]


def olmo_documents(path: Path, dtype: np.dtype[Any]) -> list[list[int]]:
    """What OLMo-core 3.0.0 reads: iter_document_indices takes the first two fields of each line, load_array_slice raw bytes."""
    places = path.with_name(path.name.replace(".npy", ".csv.gz"))
    with gzip.open(places, "rt") as lines:
        bounds = [tuple(map(int, line.split(",")[:2])) for line in lines]
    data = path.read_bytes()
    size = dtype.itemsize
    return [np.frombuffer(data[a * size : b * size], dtype).tolist() for a, b in bounds]


def test_olmo_as_its_readers_take_it(opened: shards.Shards, tmp_path: Path) -> None:
    written = olmo(opened, tmp_path)
    dtype = np.dtype("<u2" if opened.vocab_size == 100 else "<u4")
    for name in opened.splits:
        files = [path for path in written if path.parent.name == name]
        assert [path.name for path in files] == [f"part-0-{number:05d}.npy" for number in range(len(files))]
        found = [olmo_documents(path, dtype) for path in files]
        assert [document for documents in found for document in documents] == documents_of(opened, name)
        sizes = [sum(map(len, documents)) for documents in found]
        assert [path.stat().st_size for path in files] == [dtype.itemsize * size for size in sizes]
        # A file is closed only where the next document would not fit.
        for size, documents, following in zip(sizes, found, found[1:], strict=False):
            assert size <= 64 or len(documents) == 1
            assert size + len(following[0]) > 64
    with gzip.open(tmp_path / "train" / "part-0-00000.csv.gz", "rt") as lines:
        first = next(lines).rstrip("\n").split(",")
    row = opened.documents("train").slice(0, 1).to_pylist()[0]
    assert first == [str(value) for value in (0, row["length"], row["id"], row["file"], row["row"])]


def test_olmo_with_long_documents_and_odd_ids(tmp_path: Path) -> None:
    documents = [("a\nb", np.arange(9)), ("c,d", np.arange(2))]
    opened = shards.write(tmp_path / "s", documents, vocab_size=300, end_of_text=299, shard_tokens=5)
    (tmp_path / "out").mkdir()
    files = olmo(opened, tmp_path / "out")
    found = sorted(len(document) for path in files for document in olmo_documents(path, np.dtype("<u2")))
    assert found == [3, 10]
    assert not [*(tmp_path / "out" / "validation").iterdir()]


def test_an_empty_split_is_an_empty_file(tmp_path: Path) -> None:
    opened = shards.write(tmp_path / "s", [("a", np.array([1]))], vocab_size=3, end_of_text=2)
    for name, kind in FORMATS.items():
        (tmp_path / name).mkdir()
        kind.write(opened, tmp_path / name)
    assert (tmp_path / "nanogpt" / "val.bin").read_bytes() == b""
    assert (tmp_path / "megatron" / "validation.idx").stat().st_size == 34 + 8
    assert [file.name for file in (tmp_path / "llmc").iterdir()] == ["train_000000.bin"]
    assert pq.read_table(tmp_path / "parquet" / "validation.parquet").num_rows == 0


def test_the_command(opened: shards.Shards, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["export", *arguments])
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    out = tmp_path / "out"
    code, said, err = call(str(opened.directory), "nanogpt", str(out))
    assert (code, err) == (0, "")
    assert f"np.memmap('{out}/train.bin', np.{opened.manifest['dtype']})" in said
    assert sorted(path.name for path in out.iterdir()) == ["meta.pkl", "train.bin", "val.bin"]
    code, said, err = call(str(opened.directory), "nanogpt", str(out))
    assert (code, said, err) == (2, "", f"error: {out}: exists already; choose another name\n")
    code, said, err = call(str(opened.directory), "mds", str(out))
    assert (code, said, err) == (2, "", f"error: mds: unknown format; known: {', '.join(FORMATS)}\n")
    code, said, err = call(str(tmp_path), "nanogpt", str(tmp_path / "x"))
    assert (code, said) == (2, "")
    assert "not a run directory" in err


def test_a_format_is_one_entry(
    opened: shards.Shards, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(opened: shards.Shards, out: Path) -> list[Path]:
        files = [out / "sizes.txt", out / "notes.md"]
        files[0].write_text(str(opened.splits["train"].tokens))
        files[1].write_text(f"{opened.vocab_size} ids")
        return files

    toy = Format(write=write, reader="cat {file} ({stem}, {dtype})", suffix=".txt", help="a toy")
    monkeypatch.setitem(FORMATS, "toy", toy)
    out = tmp_path / "toys"
    with pytest.raises(SystemExit) as exit_:
        main(["export", str(opened.directory), "toy", str(out)])
    assert not exit_.value.code
    assert capsys.readouterr().out == f"cat {out}/sizes.txt ({out}/sizes, {opened.manifest['dtype']})\n"
    assert (out / "sizes.txt").read_text() == str(opened.splits["train"].tokens)
    with pytest.raises(SystemExit):
        main(["export", str(opened.directory), "toi", str(tmp_path / "other")])
    assert capsys.readouterr().err.endswith(f"known: {', '.join(FORMATS)}\n")


def test_how_each_file_is_read(opened: shards.Shards, tmp_path: Path) -> None:
    lines = {}
    for name, form in FORMATS.items():
        (tmp_path / name).mkdir()
        lines[name] = form.reader_lines(form.write(opened, tmp_path / name), "uint16")
        assert "\n" not in form.help
    assert len(lines["nanogpt"]) == 2
    assert lines["nanogpt"][1] == f"np.memmap('{tmp_path}/nanogpt/val.bin', np.uint16)"
    assert lines["llmc"][0] == f"np.memmap('{tmp_path}/llmc/train_000000.bin', np.uint16, offset=1024)"
    assert lines["olmo"][0] == f"np.memmap('{tmp_path}/olmo/train/part-0-00000.npy', np.uint16, 'r')"
    assert lines["parquet"][0] == f"datasets.load_dataset('parquet', data_files='{tmp_path}/parquet/train.parquet')"


def test_megatron_takes_its_arguments_as_printed(opened: shards.Shards, tmp_path: Path) -> None:
    out = tmp_path / "my tokens"
    (line,) = export(opened.directory, "megatron", out)
    assert shlex.split(line) == [
        *("--train-data-path", f"{out}/train", "--valid-data-path", f"{out}/validation"),
        *("--tokenizer-type", "NullTokenizer", "--vocab-size", str(opened.end_of_text)),
    ]
    line = megatron_arguments(opened, out, tmp_path / "tokenizer")
    assert shlex.split(line)[4:] == [
        *("--tokenizer-type", "HuggingFaceTokenizer", "--tokenizer-model", f"{tmp_path}/tokenizer"),
    ]
    small = shards.write(tmp_path / "s", [("a", np.array([1]))], vocab_size=9, end_of_text=2)
    assert "--valid-data-path" not in megatron_arguments(small, out, tmp_path)
    with pytest.raises(UserError, match="end-of-text is not the last id; export the run instead"):
        export(small.directory, "megatron", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_damaged_shards_are_not_exported(tmp_path: Path) -> None:
    opened = shards.write(tmp_path / "s", DOCUMENTS, vocab_size=100, end_of_text=99)
    file = tmp_path / "s" / "train-00000.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=r"train-00000\.npy: damaged"):
        export(opened.directory, "llmc", tmp_path / "out")
    assert not (tmp_path / "out").exists()
