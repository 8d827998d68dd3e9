"""Mixtures: shares of tokens met, epochs and caps kept, languages by temperature, the same bytes for any number of workers."""

import gzip
import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.cli.main import main
from pipeline.errors import UserError
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import END_OF_TEXT, Tokenizer, train_bpe
from pipeline.tokenize.encoded import ROW_BYTES
from pipeline.tokenize.mixture import Mixture, Source, _mixed
from pipeline.tools.mix import load_mix, mix


def index_of(*sources: list[tuple[str, int, str]]) -> pa.Table:
    """An index of documents (id, tokens, language), one file a source."""
    rows = [
        {"key": random.Random(name).getrandbits(64), "id": name, "part": file, "length": tokens, "language": language}
        | {"file": 0, "row": row}
        for file, documents in enumerate(sources)
        for row, (name, tokens, language) in enumerate(documents)
    ]
    types = [
        ("key", pa.uint64()),
        ("id", pa.string()),
        ("file", pa.int32()),
        ("row", pa.int64()),
        ("part", pa.int32()),
        ("length", pa.int64()),
        ("language", pa.string()),
    ]
    return pa.Table.from_pylist(rows, pa.schema(types))


def corpus(name: str, count: int, languages: str = "en", most: int = 200) -> list[tuple[str, int, str]]:
    draw = random.Random(name)
    return [(f"{name}-{n}", draw.randint(1, most), draw.choice(languages.split())) for n in range(count)]


def choose(table: pa.Table, mixture: Mixture, **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows chosen, with whether they are held out, and what was told; read in two pieces, within `memory` bytes."""
    names = options.get("held_out", set())

    def held_out(rows: pa.Table) -> np.ndarray:
        return np.array([name in names for name in rows["id"].to_pylist()], bool)

    pieces = [table.slice(0, len(table) // 3), table.slice(len(table) // 3)]
    with tempfile.TemporaryDirectory() as folder:
        documents, told = mixture.select(
            lambda: iter(pieces), held_out, options.get("validation", 0.0), Path(folder), options.get("memory", 2**28)
        )
        rows = [
            row | {"held": split == "validation"}
            for split, tables in documents.items()
            for some in tables()
            for row in some.to_pylist()
        ]
    return rows, told


def test_weights_are_shares_of_tokens() -> None:
    table = index_of(corpus("a", 900), corpus("b", 300), corpus("c", 500))
    sources = [
        Source(name=name, files=(n,), weight=weight, epochs=4)
        for n, (name, weight) in enumerate([("a", 5), ("b", 3), ("c", 2)])
    ]
    rows, told = choose(table, Mixture(sources=tuple(sources), tokens=80_000, seed=1))
    tokens = Counter[int]()
    for row in rows:
        tokens[row["part"]] += row["length"]
    for n, (name, share) in enumerate([("a", 0.5), ("b", 0.3), ("c", 0.2)]):
        assert abs(tokens[n] / 80_000 - share) < 0.0005
        assert told["train"][name]["tokens"] == tokens[n]
        assert abs(told["train"][name]["share"] - share) < 0.0005
    for n in range(3):  # nothing comes a third time before everything has come twice
        have = sum(row["length"] for row in table.to_pylist() if row["part"] == n)
        times = Counter(row["id"] for row in rows if row["part"] == n)
        whole = tokens[n] // have
        assert set(times.values()) <= {whole, whole + 1}
        assert whole == 0 or len(times) == sum(row["part"] == n for row in table.to_pylist())


def test_the_order_is_mixed_and_follows_the_seed() -> None:
    table = index_of(corpus("a", 400), corpus("b", 400))
    sources = (Source(name="a", files=(0,)), Source(name="b", files=(1,)))
    orders = [[row["id"] for row in choose(table, Mixture(sources=sources, seed=seed))[0]] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    half = Counter(name[0] for name in orders[0][: len(orders[0]) // 2])
    assert 0.4 < half["a"] / half.total() < 0.6
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(len(table))))
    assert [row["id"] for row in choose(shuffled, Mixture(sources=sources, seed=1))[0]] == orders[0]


def test_epochs_and_caps_bound_the_total() -> None:
    table = index_of(corpus("a", 300), corpus("b", 100))
    have = {n: sum(row["length"] for row in table.to_pylist() if row["part"] == n) for n in (0, 1)}
    both: dict[str, Any] = {"epochs": 2, "weight": 1}
    rows, told = choose(
        table, Mixture(sources=(Source(name="a", files=(0,), **both), Source(name="b", files=(1,), **both)))
    )
    assert told["train"]["b"]["tokens"] == 2 * have[1]
    assert Counter(Counter(row["id"] for row in rows if row["part"] == 1).values()) == {2: 100}
    assert 0 <= 2 * have[1] - told["train"]["a"]["tokens"] < 100
    capped = Source(name="a", files=(0,), max_tokens=1000)
    _, told = choose(table, Mixture(sources=(capped, Source(name="b", files=(1,), weight=3))))
    assert told["train"]["a"]["tokens"] == 1000
    assert told["train"]["b"]["tokens"] == 3000
    with pytest.raises(UserError, match=r"mix\.tokens is 5,000, but mix\.sources\.a with .* allows 4,000 in all"):
        choose(table, Mixture(sources=(capped, Source(name="b", files=(1,), weight=3)), tokens=5000))
    with pytest.raises(UserError, match=r"mix\.sources\.c: has no token"):
        choose(table, Mixture(sources=(capped, Source(name="c", files=(7,)))))


def test_half_an_epoch_takes_other_documents_by_another_seed() -> None:
    table = index_of(corpus("a", 300))
    taken = []
    for seed in (1, 2):
        rows, _ = choose(table, Mixture(sources=(Source(name="a", files=(0,), epochs=1.5),), seed=seed))
        times = Counter(row["id"] for row in rows)
        assert set(times.values()) == {1, 2}
        taken.append({name for name, count in times.items() if count == 2})
    assert taken[0] != taken[1]


def test_the_same_rows_within_any_memory() -> None:
    table = index_of(corpus("a", 500, "en en en de fr"), corpus("b", 200))
    sources = (
        Source(name="a", files=(0,), weight=2, epochs=1.5, temperature=3),
        Source(name="b", files=(1,), epochs=2.5),
    )
    mixture = Mixture(sources=sources, seed=3)
    options: dict[str, Any] = {"held_out": {f"a-{n}" for n in range(0, 500, 5)} | {"b-7"}, "validation": 0.1}
    expected = choose(table, mixture, **options)
    assert {row["held"] for row in expected[0]} == {True, False}
    backwards = table.take(pa.array(range(len(table) - 1, -1, -1)))
    for memory in (10 * ROW_BYTES, 100 * ROW_BYTES):
        assert choose(backwards, mixture, **options, memory=memory) == expected


def test_a_draw_takes_in_hashed_order_what_fits() -> None:
    table = index_of(corpus("a", 300))
    mixture = Mixture(sources=(Source(name="a", files=(0,), epochs=2),), tokens=40_000)
    rows, _ = choose(table, mixture, memory=50 * ROW_BYTES)
    left = 40_000 - sum(row["length"] for row in table.to_pylist())
    places = _mixed(table["key"].to_numpy(), np.ones(300, np.int64), mixture._salt("a", "train")).tolist()
    again = set()
    for _, row in sorted(zip(places, table.to_pylist(), strict=True), key=lambda pair: pair[0]):
        if row["length"] <= left:
            again.add(row["id"])
            left -= row["length"]
    assert 0 < len(again) < 300
    assert Counter(row["id"] for row in rows) == Counter(table["id"].to_pylist()) + Counter(again)
    keys, epochs = (np.array([row[name] for row in rows], np.uint64) for name in ("key", "epoch"))
    order = _mixed(keys, epochs, mixture._salt("", "order")).tolist()
    assert order == sorted(order)


def test_temperature_raises_small_languages() -> None:
    table = index_of(corpus("a", 4000, "en en en en en en en de"))
    have = Counter[str]()
    for row in table.to_pylist():
        have[row["language"]] += row["length"]
    for temperature, total in ((1.0, 100_000), (2.0, 100_000), (5.0, 60_000)):
        source = Source(name="a", files=(0,), temperature=temperature)
        _, told = choose(table, Mixture(sources=(source,), tokens=total))
        wanted = {code: tokens ** (1 / temperature) for code, tokens in have.items()}
        for code, tokens in told["train"]["a"]["languages"].items():
            expected = total * wanted[code] / sum(wanted.values())
            assert expected < have[code]
            assert abs(tokens - expected) < 100
        assert total - told["train"]["a"]["tokens"] < 5
    # A language never comes oftener than its epochs; the others take what is over.
    source = Source(name="a", files=(0,), temperature=100.0, epochs=1)
    _, told = choose(table, Mixture(sources=(source,), tokens=3 * have["de"]))
    assert told["train"]["a"]["languages"]["de"] == have["de"]
    assert abs(told["train"]["a"]["tokens"] - 3 * have["de"]) < 10


def test_what_fits_in_no_document_of_a_language_goes_to_others() -> None:
    table = index_of([(f"a-{n}", 100, f"l{n % 30}") for n in range(90)])
    source = Source(name="a", files=(0,), temperature=1)
    rows, told = choose(table, Mixture(sources=(source,), tokens=4550), memory=20 * ROW_BYTES)
    assert told["train"]["a"]["tokens"] == 4500  # one document a language, and 15 for what they all lacked
    assert len({row["id"] for row in rows}) == len(rows) == 45
    assert set(told["train"]["a"]["languages"].values()) <= {100, 200, 300}
    assert len(told["train"]["a"]["languages"]) == 30


def test_held_out_documents_stay_out_and_come_once() -> None:
    table = index_of(corpus("a", 400), corpus("b", 400))
    names = {row["id"] for n, row in enumerate(table.to_pylist()) if n % 4 == 0}
    sources = (Source(name="a", files=(0,), epochs=3), Source(name="b", files=(1,), weight=2, epochs=3))
    rows, told = choose(table, Mixture(sources=sources), held_out=names, validation=0.05)
    assert {row["id"] in names for row in rows if row["held"]} == {True}
    assert {row["id"] in names for row in rows if not row["held"]} == {False}
    assert set(Counter(row["id"] for row in rows if row["held"]).values()) == {1}
    train, validation = (sum(entry["tokens"] for entry in told[split].values()) for split in ("train", "validation"))
    assert 0.049 < validation / train <= 0.05
    assert abs(told["validation"]["b"]["share"] - 2 / 3) < 0.01


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two JSONL sources (three files) with a tokenizer and the config of their mixture."""
    draw = random.Random(0)
    words = [
        "the",
        "river",
        "runs",
        "past",
        "a",
        "mill",
        "and",
        "over",
        "stones",
        "to",
        "sea",
        "where",
        "boats",
        "wait",
    ]

    def document(n: int) -> dict[str, Any]:
        return {"text": " ".join(draw.choices(words, k=draw.randint(5, 60))), "language": draw.choice(["en", "fr"])}

    lines = [json.dumps(document(n)) for n in range(240)]
    (tmp_path / "a1.jsonl").write_text("\n".join([*lines[:60], "not json", '{"no": "text"}', "[]"]) + "\n")
    with gzip.open(tmp_path / "a2.jsonl.gz", "wt") as file:
        file.write("\n".join(lines[60:120]))
    (tmp_path / "b.jsonl").write_text("\n".join([*lines[120:], lines[120]]))
    train_bpe([json.loads(line)["text"] for line in lines], 300, (END_OF_TEXT,)).save(tmp_path / "tokenizer.json")
    (tmp_path / "mix.toml").write_text(
        f"""
        [mix]
        tokenizer = "{tmp_path}/tokenizer.json"
        validation = 0.1
        [mix.sources.a]
        files = ["{tmp_path}/a*.jsonl*"]
        weight = 3
        epochs = 2
        temperature = 2
        [mix.sources.b]
        files = ["{tmp_path}/b.jsonl"]
        """
    )
    return tmp_path


def test_a_mixture_of_files(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["mix", str(files / "mix.toml"), str(files / "one"), "--workers", "1"])
    assert not exit_.value.code
    said = capsys.readouterr().out
    assert "skipped 3 lines without a text" in said
    assert "75.00%" in said
    assert sorted(path.name for path in files.iterdir() if path.name.startswith((".", "one"))) == ["one"]
    notes: list[str] = []
    opened = mix(load_mix(files / "mix.toml"), files / "two", workers=2, note=notes.append)
    opened.verify()
    names = sorted(path.name for path in (files / "one").iterdir())
    assert names == sorted(path.name for path in (files / "two").iterdir())
    for name in names:
        assert (files / "one" / name).read_bytes() == (files / "two" / name).read_bytes()
    told = opened.manifest["mixture"]
    assert [part["source"] for part in told["parts"]] == ["a", "a", "b"]
    for name, weight in (("a", 0.75), ("b", 0.25)):
        assert abs(told["train"][name]["share"] - weight) < 0.005
    tokenizer = Tokenizer.from_file(files / "tokenizer.json")
    data = [Path(part["file"]).read_bytes() for part in told["parts"]]
    lines = [(gzip.decompress(each) if each[:2] == b"\x1f\x8b" else each).decode().split("\n") for each in data]
    for split in opened.splits:
        for row in opened.documents(split).to_pylist():
            text = lines[row["file"]][row["row"]]
            tokens = opened.splits[split].read(row["start"], row["length"] - 1)
            assert tokenizer.decode(tokens) == json.loads(text)["text"]
            assert row["language"] == json.loads(text)["language"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, config_file: Path) -> Path:
    """A run that has its shards."""
    root = tmp_path_factory.mktemp("mix") / "run"
    with pytest.raises(SystemExit) as exit_:
        main(["run", str(config_file), "--out", str(root), "--until", "shards", "--workers", "1"])
    assert not exit_.value.code
    return root


def test_a_run_is_mixed_from_its_tokens_as_they_lie(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "mix.toml").write_text(f'[mix]\nvalidation = 0.2\n[mix.sources.web]\nrun = "{finished}"\n')
    opened = mix(load_mix(tmp_path / "mix.toml"), tmp_path / "as-it-is", workers=1, note=print)
    of_run = json.loads((finished / "shards" / "manifest.json").read_text())
    assert opened.manifest["tokenizer"] == of_run["tokenizer"]
    entry = opened.splits["train"]
    assert (entry.tokens, entry.documents) == tuple(of_run["splits"]["train"][key] for key in ("tokens", "documents"))
    # With another tokenizer the clean text is encoded anew, and the same documents are held out.
    train_bpe(["another"], 270, (END_OF_TEXT,)).save(tmp_path / "other" / "tokenizer.json")
    again = mix(
        load_mix(tmp_path / "mix.toml", [f"mix.tokenizer={tmp_path}/other"]), tmp_path / "anew", workers=1, note=print
    )
    assert again.manifest["tokenizer"] != of_run["tokenizer"]
    assert set(again.documents("train")["id"].to_pylist()) == set(opened.documents("train")["id"].to_pylist())


def test_a_mixture_grows_by_files_and_runs(files: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*words: str) -> str:
        with pytest.raises(SystemExit) as exit_:
            main([*words])
        captured = capsys.readouterr()
        return captured.err if exit_.value.code else captured.out

    out = files / "grown"
    command("mix", str(files / "mix.toml"), str(out), "--workers", "1")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    new = [{"id": f"new-{n}", "text": f"new words of a new crawl, number {n}", "language": "en"} for n in range(9)]
    (files / "new.jsonl").write_text("\n".join(map(json.dumps, new)))
    said = command("append", str(out), str(files / "new.jsonl"), "--tokenizer", str(files / "tokenizer.json"))
    opened = shards.open(out)
    opened.verify()
    tokens = opened.manifest["appended"][0]["tokens"]
    assert f"9 documents, {tokens:,} tokens appended" in said
    assert opened.manifest["appended"][0]["parts"] == [
        {"source": str(files / "new.jsonl"), "file": str(files / "new.jsonl")}
    ]
    for name, data in before.items():
        assert name == "manifest.json" or (out / name).read_bytes() == data
    tokenizer = Tokenizer.from_file(files / "tokenizer.json")
    texts = set()
    for split in opened.splits:
        for row in (
            opened.documents(split).filter(pc.match_substring(opened.documents(split)["id"], "new-")).to_pylist()
        ):
            texts.add(tokenizer.decode(opened.splits[split].read(row["start"], row["length"] - 1)))
    assert texts == {document["text"] for document in new}
    assert "is already in it; append only new documents" in command(
        "append", str(out), str(files / "new.jsonl"), "--tokenizer", str(files / "tokenizer.json")
    )
    assert "name the shards' with --tokenizer" in command("append", str(out), str(files / "new.jsonl"))
    # A run's clean text, encoded anew with the mixture's tokenizer; its own shards are not for appending.
    assert "by another tokenizer" in command("append", str(out), str(finished))
    assert "belongs to a run" in command("append", str(finished / "shards"), str(files / "new.jsonl"))
    command("append", str(out), str(finished), "--tokenizer", str(files / "tokenizer.json"))
    opened = shards.open(out)
    opened.verify()
    of_run = json.loads((finished / "shards" / "manifest.json").read_text())["splits"]
    assert opened.manifest["appended"][1]["documents"] == sum(split["documents"] for split in of_run.values())
    assert sorted(path.name for path in files.iterdir() if path.name.startswith(".")) == []


def test_a_dataset_is_a_source(files: Path) -> None:
    datasets = pytest.importorskip("datasets")
    with gzip.open(files / "a2.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    datasets.Dataset.from_list(rows).save_to_disk(str(files / "saved"), num_shards=2)
    for kind, value in (("dataset", f"'{files}/saved'"), ("files", f"['{files}/a2.jsonl.gz']")):
        text = f"[mix]\ntokenizer = '{files}/tokenizer.json'\n[mix.sources.a]\n{kind} = {value}\n"
        (files / "one.toml").write_text(text)
        mix(load_mix(files / "one.toml"), files / kind, workers=1, note=print)
    both = [shards.open(files / kind) for kind in ("dataset", "files")]
    for name in shards.SPLITS:
        tables = [opened.documents(name).select(["start", "length", "id", "language"]) for opened in both]
        assert tables[0] == tables[1]
        streams = [opened.splits[name].read(0, opened.splits[name].tokens).tolist() for opened in both]
        assert streams[0] == streams[1]
    assert both[0].manifest["mixture"]["parts"][0]["file"] == f"dataset:{files}/saved/train shard 0"
    (files / "wrong.toml").write_text(
        f"[mix]\ntokenizer = '{files}/tokenizer.json'\n[mix.sources.a]\ndataset = '{files}/other'\n"
    )
    datasets.Dataset.from_list([{"body": "x"}]).save_to_disk(str(files / "other"))
    with pytest.raises(UserError, match=r"mix\.sources\.a\.dataset: .*other has no column text; it has body"):
        mix(load_mix(files / "wrong.toml"), files / "no", workers=1, note=print)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mix: missing"),
        ("[mix]\nsources = {}", "mix.sources: must not be empty"),
        ("[mix.sources.a]\nrun = 'x'\nfiles = ['y']", "mix.sources.a: give one of run, files and dataset"),
        (
            "[mix.sources.a]\nrun = 'x'\nwieght = 2",
            "mix.sources.a.wieght: unknown key (did you mean weight?); known: run",
        ),
        ("[mix.sources.a]\nrun = 'x'\nweight = 0", "mix.sources.a.weight: input should be greater than 0, not 0"),
        ("[mix.sources.a]\nrun = 'no-run'", "no-run: not a run directory"),
        ("[mix.sources.a]\nfiles = ['none*.jsonl']", "mix.tokenizer: without a run among the sources"),
        ("[mix]\ntokenizer = 'none.json'\n[mix.sources.a]\nfiles = ['none*.jsonl']", "none.json: No such file"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mix.toml").write_text(text)
    with pytest.raises(SystemExit) as exit_:
        main(["mix", "mix.toml", "out"])
    captured = capsys.readouterr()
    assert (exit_.value.code, captured.out) == (2, "")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mix.toml"]
