"""Mistakes and odd inputs: each is one line and exit code 2, or is said where the work goes on; none is silent, none a traceback.

`python tests/test_cli_mistakes.py` tries them all and writes the table as Markdown.
"""

import io
import json
import os
import random
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import main

RUN = "run small.toml --workers 1 --until clean --out new"
"""What RUN at the beginning of a command stands for."""
CONFIG = """
[input]
paths = ["docs.jsonl"]
[language]
keep = ["en"]
[quality]
words = { min = 30 }
[tokenizer]
vocab_size = 300
[shards]
validation = 0.2
[train]
layers = 1
width = 16
heads = 2
kv_heads = 1
context = 32
batch_size = 4
steps = 2
"""


@dataclass(frozen=True)
class Damage:
    """What is done to the folder before the command."""

    what: str
    do: Callable[[], None]


def flip(path: str) -> Damage:
    """Change a byte near the end of a file."""

    def do() -> None:
        content = bytearray(Path(path).read_bytes())
        content[-5] ^= 255
        Path(path).write_bytes(content)

    return Damage(f"{path} edited", do)


def cut(pattern: str) -> Damage:
    """Truncate files."""

    def do() -> None:
        for path in Path().glob(pattern):
            path.write_bytes(path.read_bytes()[:-30])

    return Damage(f"{pattern} truncated", do)


def gone(pattern: str) -> Damage:
    """Delete files."""

    def do() -> None:
        for path in Path().glob(pattern):
            path.unlink()

    return Damage(f"{pattern} deleted", do)


def folder(path: str) -> Damage:
    """A folder in the place of a file."""

    def do() -> None:
        Path(path).unlink(missing_ok=True)
        Path(path).mkdir()

    return Damage(f"{path} is an empty directory", do)


def pipe(path: str) -> Damage:
    """A pipe that nobody writes to."""
    return Damage(f"{path} is a pipe", lambda: os.mkfifo(path))


def rename(path: str, name: bytes) -> Damage:
    """Give a file another name."""
    return Damage(f"{path} is called {name!r}", lambda: os.rename(path.encode(), name))


def link(path: str) -> Damage:
    """A link that leads nowhere."""
    return Damage(f"{path} is a dangling link", lambda: os.symlink("nothing", path))


@dataclass(frozen=True)
class Mistake:
    """A command, typed in a folder with the files of `make_folder`, and what must come of it."""

    command: str
    line: str
    """The only line on stderr, after "error: "; with exit code 0, a line on stdout. "…" stands for anything."""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """Files beside those."""
    damage: Damage | None = None
    code: int = 2

    @property
    def words(self) -> list[str]:
        """The command's words."""
        return shlex.split(re.sub("^RUN", RUN, self.command))

    @property
    def pattern(self) -> str:
        """`line` as a regular expression."""
        return ".*".join(re.escape(piece) for piece in self.line.split("…"))

    def prepare(self) -> None:
        """Make its files and do its damage, in the current folder."""
        for name, content in self.files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        if self.damage:
            self.damage.do()


# fmt: off
MISTAKES: dict[str, tuple[Mistake, ...]] = {
    "names and options": (
        Mistake("rum small.toml", "No such command 'rum'. Did you mean 'run'? … --help lists what it takes"),
        Mistake("stats --jsn run", "No such option: --jsn (Possible options: --json); … stats --help lists what it takes"),
        Mistake("stats run run2", "Got unexpected extra argument(s) (run2); … stats --help lists what it takes"),
        Mistake("classifier tran", "No such command 'tran'. Did you mean 'train'? … classifier --help lists what it takes"),
        Mistake("run small.toml --workers 1 --until cleen --out new", "--until cleen: unknown stage (did you mean clean?); known: extract, language, quality, duplicates, clean, tokenizer, s…"),
        Mistake("RUN --engine locl", "--engine locl: unknown (did you mean local?); known: local, ray"),
        Mistake("run finweb", "finweb: no such recipe (did you mean fineweb?); known: common-crawl, quickstart, c4, c4-arxiv, c4-datatrove, c4-dclm,…"),
        Mistake("recipes c5", "c5: no such recipe; known: c4, c4-arxiv, c4-datatrove, c4-dclm, ccnet, dclm-baseline, deepseek-llm, dolma, fineweb, fi…"),
        Mistake("recipes --file", "recipes --file: give the recipe's name"),
        Mistake("run small.toml --workers 0 --until clean --out new", "Invalid value for '--workers': Input should be greater than or equal to 1; … run --help lists what it takes"),
        Mistake("run small.toml --workers two --until clean --out new", "Invalid value for '--workers': Input should be a valid integer, unable to parse string as an integer; … run --help lis…"),
        Mistake("export run megatrn out", "megatrn: unknown format (did you mean megatron?); known: megatron, nanogpt, llmc, olmo, parquet"),
        Mistake("export run llmc", "Missing argument 'OUT'; … export --help lists what it takes"),
        Mistake("sample run --dropped-by quality.wrods.min", "--dropped-by quality.wrods.min: dropped nothing in this run (did you mean quality.words.min?); rules that did: quality.words.min"),
        Mistake("sample run --dropped-by qualty", "--dropped-by qualty: dropped nothing in this run; rules that did: quality.words.min"),
        Mistake("sample run --kept --dropped-by quality", "sample: give --kept or --dropped-by, not both"),
        Mistake("sample run -n 0", "Invalid value for '-n': Input should be greater than or equal to 1; … sample --help lists what it takes"),
        Mistake("why run", "why: give a URL or document id, or --token N"),
        Mistake("why run http://a.example/never", "http://a.example/never: no such URL or document id in run; python -m pipeline sample run shows some"),
        Mistake("why run --token 99999999", "--token 99999999: the train split has tokens 0 to …"),
        Mistake("why run --token -1", "--token -1: the train split has tokens 0 to …"),
        Mistake("why run --token 3 --split vaildation", "--split vaildation: unknown (did you mean validation?); known: train, validation"),
        Mistake("diff run", "Missing argument 'RUN_B'; … diff --help lists what it takes"),
        Mistake("diff run nowhere", "nowhere: not a run directory (no config.json); python -m pipeline run makes one"),
        Mistake("duplicates run --cluster x --url y", "duplicates: give one of --cluster, --url and --sample"),
        Mistake("duplicates run --url never", "--url never: no such URL or document id in run"),
        Mistake("duplicates run --cluster never", "--cluster never: the duplicates stage dropped nothing there"),
        Mistake("contamination run", 'run: this run has no [decontaminate] section; add [decontaminate] against = ["eval.jsonl"] and run again'),
        Mistake("generate run --prompt x", "run/train/model.safetensors: no such file; python -m pipeline train run makes a model"),
        Mistake("stats nowhere", "nowhere: not a run directory (no config.json); python -m pipeline run makes one"),
        Mistake("stats docs.jsonl", "docs.jsonl: not a run directory (no config.json); python -m pipeline run makes one"),
        Mistake("stats .", ".: not a run directory (no config.json); python -m pipeline run makes one"),
    ),
    "settings": (
        Mistake("RUN --set 'quality.words.min'", "--set quality.words.min: write key=value, for example --set quality.words.min=100"),
        Mistake("RUN --set '=3'", "--set =3: write key=value, for example --set quality.words.min=100"),
        Mistake("RUN --set 'quality.words.min=abc'", "--set: quality.words.min: input should be a valid number, …"),
        Mistake("RUN --set 'quality.words.min=nan'", "--set: quality.words.min: a number is needed, not nan"),
        Mistake("RUN --set 'quality.wrods.min=3'", "--set: quality.wrods: unknown signal (did you mean words?); known: words, dclm_words, stop_words, datatrove_words…"),
        Mistake("RUN --set 'qualty.words.min=3'", "--set: qualty: unknown key (did you mean quality?); known: quality, url, out, input, until, plugins, extract, lan…"),
        Mistake("RUN --set 'wrods=3'", "--set: wrods: unknown key; known: shards, input, out, until, plugins, url, extract, language, …; docs/reference/c…"),
        Mistake("RUN --set 'quality.words.mni=3'", "--set: quality.words.mni: unknown key (did you mean min?); known: min, max, above, below, top, bottom, by, pareto…"),
        Mistake('RUN --set \'language.keep=["eng"]\'', "language.keep: the model knows no language 'eng'; its label is en"),
        Mistake("RUN --set 'language.min_score=2'", "--set: language.min_score: input should be less than or equal to 1, not 2"),
        Mistake('RUN --set \'quality.words.languages=["ge"]\'', "quality.words.languages: the model knows no language 'ge'; known: ug, tg, te, ne, mg, ie, he, gv, …; fasttext.cc/docs/…"),
        Mistake("RUN --set 'quality.words={min=5, above=3}'", "--set: quality.words: give min or above, not both"),
        Mistake("RUN --set 'quality.words={min=9, max=3}'", "--set: quality.words: the range from 9 to 3 is empty"),
        Mistake("RUN --set 'quality.words={}'", "--set: quality.words: a bound is needed: min, max, above, below, top, bottom, pareto; false switches off a base's rule"),
        Mistake('RUN --set \'quality.words="off"\'', "--set: quality.words: must be a table, not 'off'; its keys: min, max, above, below, top, bottom, by, pareto, seed…"),
        Mistake("RUN --set 'quality.words.top=2'", "--set: quality.words.top: a share between 0 and 1 is needed, not 2"),
        Mistake("RUN --set 'quality.words.pareto=0'", "--set: quality.words.pareto: a number above 0 is needed (GPT-3: 9), not 0"),
        Mistake("RUN --set 'quality=3'", "--set: quality: must be a table, not 3"),
        Mistake("RUN --set 'language.keep.x=3'", "--set language.keep.x=3: keep is a value, not a table"),
        Mistake('RUN --set \'extract.extractor="bs4"\'', "--set: extract.extractor: 'bs4' is not one of native, trafilatura, resiliparse"),
        Mistake("RUN --set 'duplicates.threshold=2'", "--set: duplicates.threshold: input should be less than or equal to 1, not 2"),
        Mistake("RUN --set 'duplicates.bands=0'", "--set: duplicates.bands: input should be greater than or equal to 1, not 0"),
        Mistake('RUN --set \'duplicates.keep="longst"\'', "--set: duplicates.keep: unknown policy 'longst' (did you mean longest?) for the kept duplicate; known: longest, s…"),
        Mistake('RUN --set \'duplicates.memory="lots"\'', "--set: duplicates.memory: 'lots' is not a size; write for example 2GB or 500MB"),
        Mistake('RUN --set \'duplicates.against=["nowhere"]\'', "…/nowhere: not a run directory (no config.json); python -m pipeline run makes one"),
        Mistake('RUN --set \'duplicates.against=["new"]\'', "duplicates.against: new: is this run itself"),
        Mistake('RUN --set \'duplicates.against=["half"]\'', "duplicates.against: half: its duplicates stage is not finished; run it first"),
        Mistake("RUN --set 'tokenizer.vocab_size=10'", "--set: tokenizer.vocab_size: input should be greater than or equal to 257, not 10"),
        Mistake('run small.toml --workers 1 --until shards --out new --set \'tokenizer.file="none.json"\'', "tokenizer.file: none.json: No such file or directory"),
        Mistake('run small.toml --workers 1 --until shards --out new --set \'tokenizer.file="t.json"\'', "tokenizer.file: t.json: not a tokenizer.json of byte-level BPE as it is read here: …", files={'t.json': '{}'}),
        Mistake('run small.toml --workers 1 --until shards --out new --set \'tokenizer.file="t.json"\'', "tokenizer.file: t.json: not a tokenizer.json of byte-level BPE as it is read here: …", files={'t.json': 'hello'}),
        Mistake("RUN --set 'shards.validation=2'", "--set: shards.validation: input should be less than 1, not 2"),
        Mistake("RUN --set 'shards.tokens=0'", "--set: shards.tokens: input should be greater than or equal to 1, not 0"),
        Mistake("RUN --set 'train.width=7'", "--set: train: width = 7 must be an even multiple of heads = 2"),
        Mistake("RUN --set 'train.steps=0'", "--set: train: steps = 0 must be above 0"),
        Mistake('RUN --set \'plugins=["none.py"]\'', "--set: plugins: none.py: cannot be read: No such file or directory; paths are relative to the current directory"),
        Mistake('RUN --set \'plugins=["mine.py"]\'', "--set: plugins: mine.py: SyntaxError: invalid syntax (mine.py, line 1)", files={'mine.py': 'def f(:\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\'', "--set: plugins: mine.py: defines neither SIGNALS nor EDITS", files={'mine.py': 'x = 1\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\'', "--set: plugins: mine.py: RuntimeError: no", files={'mine.py': "raise RuntimeError('no')\n"}),
        Mistake('RUN --set \'plugins=["mine.py"]\'', "--set: plugins: mine.py: ModuleNotFoundError: No module named 'nothing_like_it'", files={'mine.py': 'import nothing_like_it\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\'', "--set: plugins: mine.py: SystemExit: 3", files={'mine.py': 'import sys\nsys.exit(3)\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\'', "--set: plugins: mine.py: the name of the signal words is built in; choose another one", files={'mine.py': 'def words(docs):\n    """X."""\n    return docs\n\n\nSIGNALS = (words,)\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\' --set quality.wrong.min=1', "the signal wrong returned an array of int64 with shape (); a number for each of 17 texts is needed, NaN for none (mine.py, line 1)", files={'mine.py': 'def wrong(docs):\n    """X."""\n    return 3\n\n\nSIGNALS = (wrong,)\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\' --set quality.wrong.min=1', "plugins: mine.py: the signal wrong: ZeroDivisionError: division by zero (line 3), in quality of …, record …", files={'mine.py': 'def wrong(docs):\n    """X."""\n    return 1 / 0\n\n\nSIGNALS = (wrong,)\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\' --set \'edit.functions=["wrong"]\'', "the edit wrong returned an int; a string is needed (mine.py, line 1)", files={'mine.py': 'def wrong(text):\n    """X."""\n    return 3\n\n\nEDITS = (wrong,)\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\' --set \'edit.functions=["wrong"]\'', "plugins: mine.py: the edit wrong: IndexError: string index out of range (line 3), in quality.edit of …, record …", files={'mine.py': 'def wrong(text):\n    """X."""\n    return text[10 ** 9]\n\n\nEDITS = (wrong,)\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\' --set \'edit.functions=["wrong"]\'', "the edit wrong returned None; a string is needed (mine.py, line 1)", files={'mine.py': 'def wrong(text):\n    """X."""\n    text.strip()\n\n\nEDITS = (wrong,)\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\' --set quality.wrong.min=1', "plugins: mine.py: the signal wrong: AttributeError: 'Batch' object has no attribute 'texts'; it has array, count, data, ends, folded, from_arrow, languages, …", files={'mine.py': 'def wrong(docs):\n    """X."""\n    return docs.texts\n\n\nSIGNALS = (wrong,)\n'}),
        Mistake('RUN --set \'plugins=["mine.py"]\' --set quality.wrong.min=1', "the signal wrong returned a list that is no array; a number for each of 17 texts is needed, NaN for none (mine.py, line 1)", files={'mine.py': 'def wrong(docs):\n    """X."""\n    return [[1], [1, 2]] * 2\n\n\nSIGNALS = (wrong,)\n'}),
        Mistake('RUN --set \'edit.functions=["wrong"]\'', "--set: edit.functions: no edit 'wrong'; no plugin defines EDITS"),
        Mistake('RUN --set \'plugins=["half"]\'', "--set: plugins: half: cannot be read: Is a directory"),
        Mistake('RUN --set \'scores.q={kind="words", model="none.txt"}\'', "scores.q.model: none.txt: no such file"),
        Mistake('RUN --set \'scores.q={kind="wrods", model="none.txt"}\'', "--set: scores.q.kind: input should be 'fasttext', 'perplexity', 'divergence', 'words' or 'sklearn', not 'wrods' (…"),
        Mistake('RUN --set \'scores.words={kind="words", model="docs.jsonl"}\'', "--set: scores.words: a signal already has this name; give [scores.words] another one"),
        Mistake('RUN --set \'scores.q={kind="sklearn", model="m.pkl"}\' --set quality.q.min=1', "scores.q.model: m.pkl: a pickle may run any code and is not opened; save the model with skops.io.dump", files={'m.pkl': b'\x80\x04K\x01.'}),
        Mistake('RUN --set \'scores.q={kind="fasttext", model="m.bin"}\' --set quality.q.min=1', "scores.q.model: m.bin: not a fastText model (m.bin has wrong file format!)", files={'m.bin': b'hello'}),
        Mistake('RUN --set \'scores.q={kind="perplexity", model="m.arpa"}\' --set quality.q.min=1', "scores.q.model: m.arpa: not an ARPA file (no \\data\\ and ngram counts); KenLM's binary files cannot be read", files={'m.arpa': b'hello'}),
        Mistake('RUN --set \'decontaminate.against=["none.jsonl"]\'', "decontaminate.against: none.jsonl: no such file"),
        Mistake('RUN --set \'decontaminate.against=["e.jsonl"]\'', "decontaminate.against: e.jsonl: no items", files={'e.jsonl': ''}),
        Mistake('RUN --set \'decontaminate.against=["e.jsonl"]\'', "decontaminate.against: e.jsonl: line 1: not JSON (Expecting value: line 1 column 1 (char 0))", files={'e.jsonl': 'hello\n'}),
        Mistake('RUN --set \'decontaminate.against=["e.jsonl"]\'', "decontaminate.fields: e.jsonl: line 1 has no text; it has: question", files={'e.jsonl': '{"question": "a b"}\n'}),
        Mistake('RUN --set \'decontaminate.against=["e.txt"]\'', "decontaminate.against: e.txt: not JSON Lines (.jsonl, .ndjson; also .gz, .zst, .bz2, .xz)", files={'e.txt': 'hello\n'}),
        Mistake('RUN --set \'mask.kinds=["emial"]\'', "--set: mask.kinds.0: input should be 'email', 'phone' or 'ip', not 'emial' (did you mean email?)"),
        Mistake('RUN --set \'measure.families=["dcml"]\'', "--set: measure.families: unknown family 'dcml' (did you mean dclm?); known: datatrove, dclm, dolma, latex, olmo, r…"),
        Mistake('RUN --set \'url.blocklists=["none"]\'', "url.blocklists: none: no such file or directory"),
        Mistake("run small.toml --out new --workers 1 --set until=cleen", "--until cleen: unknown stage (did you mean clean?); known: extract, language, quality, duplicates, clean, tokenizer, s…"),
    ),
    "config files": (
        Mistake("run none.toml --out new", "none.toml: no such file; python -m pipeline run quickstart is a good start"),
        Mistake("run run2/clean --out new", "run2/clean: is a directory; give a config file, a run, or the name of a recipe"),
        Mistake("run c.toml --out new", "c.toml: not valid TOML: Invalid value (at end of document)", files={'c.toml': 'quality = [\n'}),
        Mistake("run c.toml --out new", "c.toml: not valid TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte", files={'c.toml': b'\xff\xfe'}),
        Mistake("run c.toml --out new", "c.toml: input: missing", files={'c.toml': ''}),
        Mistake("run run/config.json --out new", "run/config.json: not valid TOML: Invalid statement (at line 1, column 1)"),
        Mistake("run packed.jsonl.gz", "packed.jsonl.gz: JSON Lines, not a config; python -m pipeline run quickstart --set 'input.paths=[\"packed.jsonl.gz\"]' reads it", files={"packed.jsonl.gz": b"\x1f\x8b\xff"}),
        Mistake("run site.warc.gz", "site.warc.gz: an archive, not a config; python -m pipeline run quickstart …", files={"site.warc.gz": b"\x1f\x8b\xff"}),
        Mistake("run quickstart --out new", "runs/demo.warc.gz: no such file; python -m pipeline crawl runs/demo.warc.gz makes it, or name your own with --set …"),
        Mistake('RUN --set \'input.plugins=["x.py"]\'', "--set: input.plugins: unknown key; plugins belongs at the top of the file"),
        Mistake("run own.toml", "own.toml: input.plugins: unknown key; plugins belongs at the top of the file", files={"own.toml": '[input]\npaths = ["docs.jsonl"]\nplugins = ["x.py"]\n'}),
        Mistake("RUN --set input.quality=x", "--set: input.quality: unknown key; [quality] is a table of its own"),
        Mistake("run own.toml --set quality.words.min=5", "own.toml: quality.wrods: unknown signal (did you mean words?); …", files={"own.toml": '[input]\npaths = ["docs.jsonl"]\n[quality]\nwrods = { min = 5 }\n'}),
        Mistake("run c.toml --out new", "…/none.toml: no such file; python -m pipeline run quickstart is a good start", files={'c.toml': 'base = "none.toml"\n'}),
        Mistake("run c.toml --out new", "c.toml: base: c.toml extends itself", files={'c.toml': 'base = "c.toml"\n'}),
        Mistake("run c.toml --out new", "c.toml: base: must be the path of one config file, or the name of a recipe", files={'c.toml': 'base = ["a", "b"]\n'}),
        Mistake("run c.toml --out new", "c.toml: base: finweb: no such recipe (did you mean fineweb?); known: common-crawl, quickstart, c4, c4-arxiv, c4-datatr…", files={'c.toml': 'base = "finweb"\n'}),
        Mistake("run c.toml --out new", "c.toml: not valid TOML: Cannot overwrite a value (at line 3, column 12)", files={'c.toml': '[input]\npaths = "x"\npaths = "y"\n'}),
        Mistake('RUN --set \'quality.words={signal="lines", min=3}\'', "--set: quality.words.signal: unknown key; the name of the table is the signal"),
    ),
    "input": (
        Mistake("""RUN --set 'input.paths=["docs-*.jsonl"]'""", "docs-caf….jsonl: the file's name is not UTF-8; rename it", damage=rename("docs.jsonl", b"docs-caf\xe9.jsonl")),
        Mistake("""RUN --set 'input.paths=["a.jsonl"]'""", "new: nothing is left after the extract stage: extract.bad_record dropped the only record (…). Likely, …", files={"a.jsonl": '{"text": 3}\n'}),
        Mistake('RUN --set \'input.paths=["none.warc.gz"]\'', "none.warc.gz: no such file or directory, and no file matches it as a glob; paths are relative to the current directory"),
        Mistake('RUN --set \'input.paths=["none/*.warc.gz"]\'', "none/*.warc.gz: no such file or directory, and no file matches it as a glob; paths are relative to the current directory"),
        Mistake("RUN --set input.paths=[]", "--set: input: give exactly one of paths (files, directories, globs, URLs), dataset and common_crawl"),
        Mistake('RUN --set \'input.paths=["pics"]\'', "input.paths: no … in pics; pics/a.png is a picture", files={'pics/a.png': b'\x89PNG\r\n\x1a\n'}),
        Mistake('RUN --set \'input.paths=["a.zip"]\'', "a.zip: is a zip file; unpack it and give the files inside", files={'a.zip': b'PK\x03\x04'}),
        Mistake('RUN --set \'input.paths=["a.pdf"]\'', 'a.pdf: is PDF; take the text out with another tool, then put each document on a line of a .jsonl file, as {"text": ...}', files={'a.pdf': b'%PDF-1.7'}),
        Mistake('RUN --set \'input.paths=["a.png"]\'', "a.png: is a picture", files={'a.png': b'\x89PNG\r\n\x1a\n'}),
        Mistake('RUN --set \'input.paths=["a.warc.wat.gz"]\'', "a.warc.wat.gz: is WAT, metadata without pages; give the .warc or .wet file of the same name", files={'a.warc.wat.gz': b'\x1f\x8b'}),
        Mistake('RUN --set \'input.paths=["a.warc.gz"]\'', "new: nothing was read: a.warc.gz has no record; is the input empty?", files={'a.warc.gz': b''}),
        Mistake('RUN --set \'input.paths=["a.jsonl"]\'', "new: nothing was read: a.jsonl has no record; is the input empty?", files={'a.jsonl': b''}),
        Mistake('RUN --set \'input.paths=["a.jsonl"]\'', "a.jsonl, first line: no key 'text'; set input.text to one of content, meta, meta.url", files={'a.jsonl': b'{"content": "Some text.", "meta": {"url": "x"}}\n'}),
        Mistake("RUN --set input.text=txet", "docs.jsonl, first 17 lines: no key 'txet' (did you mean text?); set input.text to one of id, url, text, number"),
        Mistake("RUN --set input.text=meta.text", "docs.jsonl, first 17 lines: no key 'meta.text' (did you mean text?); set input.text to one of id, url, text, number"),
        Mistake('RUN --set \'input.paths=["a.jsonl"]\'', "new: nothing is left after the extract stage: extract.empty_text dropped the only record (the first: text has no value). Likely, 'text' is not the ri…", files={'a.jsonl': b'{"text": null}\n'}),
        Mistake('RUN --set \'input.paths=["a.jsonl"]\'', "new: nothing is left after the extract stage: extract.empty_text dropped all 2 records. Likely, 'text' is not the righ…", files={'a.jsonl': b'{"text": ""}\n{"text": "  "}\n'}),
        Mistake('RUN --set \'input.paths=["a.parquet"]\'', "a.parquet: cannot be read as Parquet (Parquet magic bytes not found in footer. Either the file is corrupted or this is…", files={'a.parquet': b'PAR1 hello'}),
        Mistake('RUN --set \'input.paths=["a.parquet"]\'', "a.parquet: cannot be read as Parquet (Parquet file size is 0 bytes)", files={'a.parquet': b''}),
        Mistake('RUN --set \'input.paths=["docs.parquet"]\' --set input.text=txet', "docs.parquet: no column 'txet' (did you mean text?); set input.text to one of id, url, text, number"),
        Mistake('RUN --set \'input.paths=["docs.parquet"]\' --set input.text=number', "new: nothing is left after the extract stage: extract.bad_record dropped 16 of 17 (94%) records, other rules the rest…"),
        Mistake('RUN --set \'input.paths=["pipe.jsonl"]\'', "pipe.jsonl: a pipe, where a regular file is needed", damage=pipe("pipe.jsonl")),
        Mistake("RUN --set input.dataset=x", "--set: input: give exactly one of paths (files, directories, globs, URLs), dataset and common_crawl; paths = [] t…"),
        Mistake("RUN --set input.part_bytes=0", "--set: input.part_bytes: input should be greater than or equal to 1, not 0"),
        Mistake('RUN --set \'input.paths=["link.jsonl"]\'', "link.jsonl: cannot be read (No such file or directory)", damage=link("link.jsonl")),
    ),
    "where a run goes": (
        Mistake(f"run small.toml --out {300 * 'a'}", f"{300 * 'a'}: cannot be used as a directory (File name too long)"),
        Mistake("run small.toml --workers 1 --until extract --out docs.jsonl", "docs.jsonl: a file is in the way; choose another directory"),
        Mistake("run small.toml --workers 1 --until extract --out docs.jsonl/x", "docs.jsonl/x: a file is in the way; choose another directory"),
        Mistake("run small.toml --workers 1 --until extract --out foreign", "foreign: not empty and not a run directory (mine.txt); choose another with --out", files={'foreign/mine.txt': 'x'}),
        Mistake('run small.toml --workers 1 --until extract --out run --set \'input.paths=["docs.parquet"]\'', "run: holds a run over other input (docs.jsonl, not docs.parquet); choose another directory with --out"),
        Mistake("run small.toml --workers 1 --until extract --out /proc/x", "/proc/x: a system directory, where nothing can be stored"),
        Mistake("run small.toml --workers 1 --until extract --out /sys/x/y", "/sys/x/y: a system directory, where nothing can be stored"),
        Mistake("run small.toml --workers 1 --until extract --out /dev/null", "/dev/null: a system directory, where nothing can be stored"),
        Mistake("run small.toml --workers 1 --until extract --out s3://bucket/x", "s3://bucket/x: output goes to a directory on this machine; only input may be a URL. Copy the finished run there"),
        Mistake("run small.toml --workers 1 --until extract --out link.jsonl", "link.jsonl: a file is in the way; choose another directory", damage=link("link.jsonl")),
    ),
    "damaged runs": (
        Mistake("stats run", "run/config.json: not of this version (invalid JSON: EOF while parsing a value at line 1 column 0, not ''); run it again", files={"run/config.json": ''}),
        Mistake("stats run", "run/config.json: not of this version (invalid JSON: EOF while parsing an object at line 1 column 1, not '{'); run it again", files={"run/config.json": '{'}),
        Mistake("stats run", "run/config.json: not of this version (the file: must be a table, not []; its keys: input, out, until, plugins, url, ex…", files={"run/config.json": '[]'}),
        Mistake("run small.toml --workers 1 --until clean --out run", "run/config.json: damaged, or not of this version; delete run, or choose another directory", files={"run/config.json": '[]'}),
        Mistake("stats run", "run/config.json: damaged: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte", files={"run/config.json": b'\xff\xfe'}),
        Mistake("stats run", "run/parts.json: damaged: Expecting property name enclosed in double quotes: line 1 column 2 (char 1); run it again", files={"run/parts.json": '{'}),
        Mistake("stats run", "run/parts.json: damaged: not a list of parts; run it again", files={"run/parts.json": 'null'}),
        Mistake("run small.toml --workers 1 --until clean --out run", "  up to date, not done again: extract, …", files={"run/parts.json": 'null'}, code=0),
        Mistake("stats run", "run/parts.json: damaged: not a list of parts; run it again", files={"run/parts.json": '[1]'}),
        Mistake("stats run", "run: not a run directory (no config.json); python -m pipeline run makes one", damage=folder("run/config.json")),
        Mistake("stats run", "run: not a run directory (no parts.json); python -m pipeline run makes one", damage=gone("run/parts.json")),
        Mistake("stats run", "  not run yet: extract, language, quality, duplicates, clean", damage=gone("run/journal.jsonl"), code=0),
        Mistake("why run d3", "run: has not finished its extract stage; run it again first", damage=gone("run/journal.jsonl")),
        Mistake("sample run", "run: has not finished its duplicates stage; run it again first", damage=gone("run/journal.jsonl")),
        Mistake("tokens run", "run: has not finished its shards stage; run first: python -m pipeline run run --until shards", damage=gone("run/journal.jsonl")),
        Mistake("diff run run2", "run: has not finished its extract stage; run it again first", damage=gone("run/journal.jsonl")),
        Mistake("duplicates run", "run: its duplicates stage is not finished; run the same command again to finish it", damage=gone("run/journal.jsonl")),
        Mistake("suggest run --good docs.jsonl", "run: has not finished its quality stage; run it again, or give --bad", damage=gone("run/journal.jsonl")),
        Mistake("export run llmc out", "run: has not finished its shards stage; run first: python -m pipeline run run --until shards", damage=gone("run/journal.jsonl")),
        Mistake("stats run", "  not run yet: extract, language, quality, duplicates, clean", files={"run/journal.jsonl": b'\xff\xfe{}\n[1]\n'}, code=0),
        Mistake("stats run", "run/journal.jsonl: not a file; delete it and run again", damage=folder("run/journal.jsonl")),
        Mistake("stats run", "  run/ledger/extract/docs.jsonl-….parquet: missing, or changed since it was written; the next run makes it again", damage=cut("run/ledger/extract/*.parquet"), code=0),
        Mistake("why run d3", "run/ledger/extract/docs.jsonl-….parquet: missing, or changed since it was written; run it again first", damage=cut("run/ledger/extract/*.parquet")),
        Mistake("why run d3", "not decided yet: quality, duplicates; run it again", damage=cut("run/ledger/quality.decide/*.parquet"), code=0),
        Mistake("sample run --dropped-by quality", "run/ledger/quality.decide/docs.jsonl-….parquet: missing, or changed since it was written; run it again first", damage=cut("run/ledger/quality.decide/*.parquet")),
        Mistake("diff run run2", "run/ledger/quality.decide/docs.jsonl-….parquet: missing, or changed since it was written; run it again first", damage=cut("run/ledger/quality.decide/*.parquet")),
        Mistake("duplicates run", "run/ledger/extract/docs.jsonl-….parquet: damaged (Parquet magic bytes not found in footer. Either the file is corrupte…", damage=cut("run/ledger/extract/*.parquet")),
        Mistake("stats run", "  run/shards/train-00000.npy: missing, or changed since it was written; the next run makes it again", damage=flip("run/shards/train-00000.npy"), code=0),
        Mistake("tokens run", "run/shards/train-00000.npy: missing, or changed since it was written; run first: python -m pipeline run run --until shards", damage=gone("run/shards/train-00000.npy")),
        Mistake("tokens run", "run/tokenizer/tokenizer.json: not a tokenizer.json of byte-level BPE as it is read here: …", files={"run/tokenizer/tokenizer.json": '{'}),
        Mistake("export run llmc out", "run/shards/train-00000.npy: missing, or changed since it was written; run first: python -m pipeline run run --until shards", damage=flip("run/shards/train-00000.npy")),
        Mistake("export run llmc out", "run/shards/documents.parquet: missing, or changed since it was written; run first: python -m pipeline run run --until shards", files={"run/shards/documents.parquet": 'x'}),
        Mistake("why run --token 3", "run/shards/train-00000.npy: missing, or changed since it was written; run first: python -m pipeline run run --until shards", damage=flip("run/shards/train-00000.npy")),
        Mistake("train run", "run/shards/manifest.json: missing, or changed since it was written; run first: python -m pipeline run run --until shards", files={"run/shards/manifest.json": '{'}),
        Mistake("mix mix.toml out", "run/tokenizer/tokenizer.json: not a tokenizer.json of byte-level BPE as it is read here: …", files={"run/tokenizer/tokenizer.json": '{'}),
        Mistake("ablate out run run2 --on docs.jsonl", "run: has no finished shards; run it again with --until shards", damage=gone("run/shards/train-00000.npy")),
        Mistake("stats run", "  run/clean/docs.jsonl-….parquet: missing, or changed since it was written; the next run makes it again", damage=gone("run/clean/*.parquet"), code=0),
        Mistake("run small.toml --workers 1 --until clean --out run", "docs.jsonl: no such file or directory, and no file matches it as a glob; paths are relative to the current directory", damage=gone("docs.jsonl")),
    ),
    "mix": (
        Mistake("mix none.toml out", "none.toml: no such file; python -m pipeline run quickstart is a good start"),
        Mistake("mix small.toml out", "small.toml: mix: missing"),
        Mistake("mix m.toml out", "m.toml: mix.sources: missing", files={'m.toml': '[mix]\n'}),
        Mistake("mix m.toml out", "m.toml: mix.sources: must not be empty", files={'m.toml': '[mix.sources]\n'}),
        Mistake("mix m.toml out", "m.toml: mix.sources.a: give one of run, files and dataset", files={'m.toml': '[mix.sources.a]\nweight = 1\n'}),
        Mistake("mix m.toml out", "m.toml: mix.sources.a: give one of run, files and dataset", files={'m.toml': '[mix.sources.a]\nrun = "run"\nfiles = ["docs.jsonl"]\n'}),
        Mistake("mix m.toml out", "m.toml: mix.sources.a.weight: input should be greater than 0, not -1", files={'m.toml': '[mix.sources.a]\nrun = "run"\nweight = -1\n'}),
        Mistake("mix m.toml out", "m.toml: mix.sources.a.wieght: unknown key (did you mean weight?); known: run, files, dataset, subset, split, revision,…", files={'m.toml': '[mix.sources.a]\nrun = "run"\nwieght = 1\n'}),
        Mistake("mix m.toml out", "nowhere: not a run directory (no config.json); python -m pipeline run makes one", files={'m.toml': '[mix.sources.a]\nrun = "nowhere"\n'}),
        Mistake("mix m.toml out", "mix.sources.a: half has no finished clean text; python -m pipeline run … makes it", files={'m.toml': '[mix.sources.a]\nrun = "half"\n'}),
        Mistake("mix m.toml out", "mix.tokenizer: without a run among the sources, give a run or a tokenizer.json", files={'m.toml': '[mix.sources.a]\nfiles = ["none*.jsonl"]\n'}),
        Mistake("mix m.toml out", "mix.tokenizer: without a run among the sources, give a run or a tokenizer.json", files={'m.toml': '[mix.sources.a]\nfiles = ["docs.jsonl"]\n'}),
        Mistake("mix m.toml out", "mix.sources.a.files: small.toml: not .jsonl, .jsonl.gz or .parquet", files={'m.toml': '[mix]\ntokenizer = "run"\n[mix.sources.a]\nfiles = ["small.toml"]\n'}),
        Mistake("mix m.toml out", "none.json: No such file or directory", files={'m.toml': '[mix]\ntokenizer = "none.json"\n[mix.sources.a]\nfiles = ["docs.jsonl"]\n'}),
        Mistake("mix m.toml out", "mix.tokens is 100,000,000, but mix.sources.a with its weight, epochs and max_tokens allows … in all", files={'m.toml': '[mix]\ntokens = 100_000_000\n[mix.sources.a]\nrun = "run"\n'}),
        Mistake("mix mix.toml run", "run: exists already; choose another name"),
        Mistake("mix mix.toml out --set quality.words.min=3", "mix.toml: quality: unknown key; known: mix, base"),
        Mistake("mix mix.toml out --set mix.tokens=many", "mix.toml: mix.tokens: input should be a valid integer, unable to parse string as an integer, not 'many'"),
        Mistake("mix mix.toml /proc/x", "/proc/x: a system directory, where nothing can be stored"),
        Mistake("mix mix.toml docs.jsonl/x", "docs.jsonl/x: a file is in the way; choose another directory"),
    ),
    "append": (
        Mistake("append nowhere run", "nowhere/manifest.json: No such file or directory; not a directory of shards, or an unfinished one"),
        Mistake("append run more.jsonl", "run/manifest.json: No such file or directory; not a directory of shards, or an unfinished one"),
        Mistake("append mixed none.jsonl", "append: no run is given whose tokenizer could be taken; name the shards' with --tokenizer"),
        Mistake("append mixed run", "mixed: document d12 is already in it; append only new documents"),
        Mistake("append mixed half", "half: half has no finished clean text; python -m pipeline run … makes it"),
        Mistake("append mixed more.jsonl --tokenizer none.json", "none.json: No such file or directory"),
        Mistake("append mixed more.jsonl", "append: no run is given whose tokenizer could be taken; name the shards' with --tokenizer"),
        Mistake("append mixed small.toml --tokenizer run/tokenizer/tokenizer.json", "small.toml.files: small.toml: not .jsonl, .jsonl.gz or .parquet"),
        Mistake("append mixed k.jsonl --tokenizer run/tokenizer/tokenizer.json", 'append: k.jsonl: no document with a text; a document\'s text is its "text"', files={'k.jsonl': '{"content": "x"}\n'}),
        Mistake("append mixed more.jsonl --tokenizer run2/tokenizer/tokenizer.json", "mixed: was encoded by another tokenizer; name that one with --tokenizer"),
    ),
    "train and generate": (
        Mistake("train half", "half: has not finished its language stage; run first: python -m pipeline run half --until shards"),
        Mistake("train nowhere", "nowhere: no such run directory, config file or recipe"),
        Mistake("train run --set quality.words.min=3", "--set quality.words.min=3: only train.* can be set here; use python -m pipeline run for other keys"),
        Mistake("train run --set train.steps=many", "--set: train.steps: input should be a valid integer, unable to parse string as an integer, not 'many'"),
        Mistake("train run --set train.stpes=3", "--set: train.stpes: unknown key (did you mean steps?); known: steps, dtype, threads, warmup_steps, seed, span_rate, mask…"),
        Mistake("generate run", "Missing option '--prompt'; … generate --help lists what it takes"),
        Mistake("generate run --prompt x --temperature -1", "Invalid value for '--temperature': Input should be greater than or equal to 0; … generate --help lists what it takes"),
    ),
    "ablate": (
        Mistake("ablate out run --on docs.jsonl", "ablate: name two runs or more to compare"),
        Mistake("ablate out run run2", "Missing option '--on'; … ablate --help lists what it takes"),
        Mistake("ablate out run half --on docs.jsonl", "half: has no finished shards; run it again with --until shards"),
        Mistake("ablate out run run --on none.jsonl", "ablate: name two runs or more to compare"),
        Mistake("ablate out run run --on docs.jsonl --size lots", "--size: 'lots' is not a size; write for example 2GB or 500MB"),
        Mistake("ablate out run run --on docs.jsonl --seeds 0", "Invalid value for '--seeds': Input should be greater than or equal to 1; … ablate --help lists what it takes"),
        Mistake("ablate out nowhere run --on docs.jsonl", "nowhere: not a run directory (no config.json); python -m pipeline run makes one"),
    ),
    "classifier and perplexity": (
        Mistake("classifier train --positive none.jsonl --negative more.jsonl --out m.bin", "none.jsonl: no such file or run directory (of a run: RUN:kept, RUN:raw, RUN:dropped)"),
        Mistake("classifier train --positive docs.jsonl --negative more.jsonl", "Missing option '--out'; … classifier train --help lists what it takes"),
        Mistake("classifier train --positive docs.jsonl --negative more.jsonl --out m.bin --normalization wrods", "--normalization wrods: unknown (did you mean words?); known: whitespace, lowercase, words, no_latex"),
        Mistake("classifier train --positive docs.jsonl --out m.bin", "classifier train: give --positive and --negative, or --latex"),
        Mistake("classifier train --latex docs.jsonl --negative docs.jsonl --out m.bin", "classifier train: give --positive and --negative, or --latex"),
        Mistake("classifier train --latex docs.jsonl --out m.bin", 'no text of docs.jsonl has LaTeX; extract.format = "markdown" keeps formulas in $'),
        Mistake("classifier train --positive docs.jsonl --negative more.jsonl --out m.bin --text txet", 'docs.jsonl: has no text; a document\'s text is its "txet"'),
        Mistake("classifier train --positive e.jsonl --negative more.jsonl --out m.bin", 'e.jsonl: has no text; a document\'s text is its "text"', files={'e.jsonl': ''}),
        Mistake("classifier train --positive docs.jsonl --negative more.jsonl --out run", "run: is a directory; give the name of a file"),
        Mistake("classifier train --positive docs.jsonl --negative more.jsonl --out docs.jsonl/m.bin", "docs.jsonl: a file is in the way; choose another directory"),
        Mistake("classifier train --positive docs.jsonl --negative nowhere:raw --out m.bin", "nowhere:raw: no such file or run directory (of a run: RUN:kept, RUN:raw, RUN:dropped)"),
        Mistake("classifier train --positive docs.jsonl --negative run:rwa --out m.bin", "run:rwa: no such file or run directory (of a run: RUN:kept, RUN:raw, RUN:dropped)"),
        Mistake("classifier train --positive docs.jsonl --negative more.jsonl --out m.bin --held-out 2", "Invalid value for '--held-out': Input should be less than or equal to 0.9; … classifier train --help lists what it takes"),
        Mistake("perplexity train --text docs.jsonl --out m.bin --order 0", "Invalid value for '--order': Input should be greater than or equal to 1; … perplexity train --help lists what it takes"),
        Mistake("perplexity train --text docs.jsonl --out m.bin --prune 3", "prune: [3]: must begin with 0; use min_count to leave words out"),
        Mistake("perplexity train --text e.jsonl --out m.bin", "the texts to train on contain no words", files={'e.jsonl': '{"text": "!!"}\n'}),
        Mistake("perplexity train --text docs.jsonl --out docs.jsonl/m.bin", "docs.jsonl: a file is in the way; choose another directory"),
        Mistake("perplexity train --text docs.jsonl --out m.bin --column txet", 'docs.jsonl: has no text; a document\'s text is its "txet"'),
    ),
    "suggest": (
        Mistake("suggest run", "Missing option '--good'; … suggest --help lists what it takes"),
        Mistake("suggest run --good e.jsonl", 'e.jsonl: has no text; a document\'s text is its "text"', files={'e.jsonl': ''}),
        Mistake("suggest run --good docs.jsonl --max-good-dropped 2", "Invalid value for '--max-good-dropped': Input should be less than or equal to 1; … suggest --help lists what it takes"),
        Mistake("suggest run --good docs.jsonl --png docs.jsonl/x.png", "docs.jsonl/x.png: cannot be written: File exists"),
        Mistake("suggest half --good docs.jsonl", "half: has not finished its quality stage; run it again, or give --bad"),
        Mistake("suggest run --good docs.jsonl --most 0.2", "suggest: --most is now called --max-good-dropped; give --max-good-dropped 0.2"),
    ),
    "crawl, export and unfinished runs": (
        Mistake("crawl demo.zip", "demo.zip: the archive's name must end in .warc.gz"),
        Mistake("crawl docs.jsonl/x.warc.gz", "docs.jsonl: a file is in the way; choose another directory"),
        Mistake("export run llmc run2", "run2: exists already; choose another name"),
        Mistake("export run llmc run", "run: exists already; choose another name"),
        Mistake("export run llmc run/shards", "run/shards: exists already; choose another name"),
        Mistake("export half llmc out", "half: has not finished its shards stage; run first: python -m pipeline run half --until shards"),
        Mistake("export nowhere llmc out", "nowhere: not a run directory (no config.json); python -m pipeline run makes one"),
        Mistake("export run llmc docs.jsonl/out", "docs.jsonl/out: a file is in the way; choose another directory"),
        Mistake("export run llmc /proc/out", "/proc/out: a system directory, where nothing can be stored"),
        Mistake("tokens half", "half: has not finished its shards stage; run first: python -m pipeline run half --until shards"),
        Mistake("tokens mixed", "mixed: not a run directory (no config.json); python -m pipeline run makes one"),
        Mistake("diff run half", "half: has not finished its language stage; run it again first"),
        Mistake("duplicates half", "half: its duplicates stage is not finished; run the same command again to finish it"),
        Mistake("why half d3", "not decided yet: language, quality, duplicates; run it again", code=0),
        Mistake("sample half", "half: has not finished its duplicates stage; run it again first"),
        Mistake("stats mixed", "mixed: not a run directory (no config.json); python -m pipeline run makes one"),
    ),
}
# fmt: on
ALL = [mistake for mistakes in MISTAKES.values() for mistake in mistakes]


def text(seed: int) -> str:
    """A few sentences."""
    draw = random.Random(seed)
    nouns = [
        "river",
        "garden",
        "winter",
        "letter",
        "market",
        "window",
        "summer",
        "village",
        "teacher",
        "engine",
        "bridge",
        "harbour",
        "kitchen",
    ]
    sentence = "The {} of the {} has a {} and people go to that {} with it."
    return " ".join(sentence.format(*draw.sample(nouns, 4)) for _ in range(6))


def call(words: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, out.getvalue(), err.getvalue()


def make_folder() -> None:
    """In the current folder: documents, configs, two runs with shards, one that is only extracted, a mixture."""
    documents = [{"id": f"d{n}", "url": f"http://a.example/{n}", "text": text(n), "number": n} for n in range(16)]
    documents.append({"id": "short", "url": "http://a.example/short", "text": "Too short, and that is all."})
    Path("docs.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    more = [{"id": f"m{n}", "text": text(100 + n)} for n in range(12)]
    Path("more.jsonl").write_text("".join(json.dumps(document) + "\n" for document in more))
    pq.write_table(pa.Table.from_pylist(documents), "docs.parquet")
    Path("small.toml").write_text(CONFIG)
    Path("mix.toml").write_text('[mix.sources.a]\nrun = "run"\n')
    for command in (
        "run small.toml --workers 1 --until shards --out run",
        "run small.toml --workers 1 --until shards --out run2 --set tokenizer.vocab_size=280",
        "run small.toml --workers 1 --until extract --out half",
        "mix mix.toml mixed --workers 1",
    ):
        code, _, err = call(shlex.split(command))
        assert code == 0, err


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that each command gets a copy of."""
    folder = tmp_path_factory.mktemp("mistakes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_folder()
    return folder


def name_of(mistake: Mistake) -> str:
    return " ".join([mistake.command, *mistake.files, *([mistake.damage.what] if mistake.damage else [])])


@pytest.mark.parametrize("mistake", ALL, ids=name_of)
def test_a_mistake_is_said_in_one_line(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: Mistake
) -> None:
    shutil.copytree(base, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    mistake.prepare()
    code, out, err = call(mistake.words)
    assert code == mistake.code, err
    if code:
        assert re.fullmatch(f"error: {mistake.pattern}\n", err)
    else:
        assert err == ""
        assert [line for line in out.splitlines() if re.fullmatch(mistake.pattern, line.rstrip())]


def test_there_are_many_and_none_twice() -> None:
    assert len({name_of(mistake) + str(mistake.files) for mistake in ALL}) == len(ALL) >= 200


def markdown() -> str:
    """Try all mistakes, and return what they printed as a table."""
    lines = ["| command | state | exit code | the line |", "| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as made:
        base = Path(made) / "base"
        base.mkdir()
        os.chdir(base)
        make_folder()
        for mistake in ALL:
            here = Path(made) / "here"
            os.chdir(base)
            shutil.rmtree(here, ignore_errors=True)
            shutil.copytree(base, here)
            os.chdir(here)
            mistake.prepare()
            code, out, err = call(mistake.words)
            said = err or next((line for line in out.splitlines() if re.fullmatch(mistake.pattern, line.rstrip())), "")
            state = [f"{name}: {content!r}" for name, content in mistake.files.items()]
            state += [mistake.damage.what] if mistake.damage else []
            cells = [f"`{mistake.command}`", "; ".join(state), str(code), said.strip()]
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        os.chdir("/")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from pipeline.core.engines import InlineEngine
    from pipeline.run import runner

    vars(runner)["LocalEngine"] = lambda workers: InlineEngine()
    sys.stdout.write(markdown().encode("utf-8", "backslashreplace").decode())
