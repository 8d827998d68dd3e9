"""tokenizer: byte-level BPE, trained on the clean text or given."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.config import Config
from pipeline.core.engines import Tick
from pipeline.core.ledger import row_groups
from pipeline.core.part import EarlierRun, RunFiles
from pipeline.core.step import Content, Step
from pipeline.errors import UserError
from pipeline.files import atomic_folder
from pipeline.stages.clean import CLEAN
from pipeline.tokenize.options import TokenizerOptions

if TYPE_CHECKING:
    from pipeline.tokenize.bpe import Tokenizer

END_OF_TEXT = "<|endoftext|>"
LIBRARIES = 550_000_000
"""Bytes that Python, Arrow, Numba, row groups and an encoder with full caches take, whatever the corpus: 507 MB were measured
on real text with a twentieth of its words misspelt (tests/benchmarks/tokenizer_memory.py)."""
ENCODER = 300_000_000
"""What an encoder's caches grow to at most, a thread: measured on four million made-up words. They took 150 MB of the 507."""
SMALLEST_TABLE = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the tokenizer is trained, or the vocabulary that is given."""

    tokenizer: TokenizerOptions
    given: Content | None

    def hashed(self) -> object:
        """What keys see. What training may use decides from which pre-tokens it learns."""
        options = self.tokenizer
        return [self.given, options.pattern] if self.given else [options.pattern, options.vocab_size, options.memory]


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    file = config.tokenizer.file
    if file is not None and not Path(file).is_file():
        raise UserError(f"tokenizer.file: {file}: no such file")
    return Options(tokenizer=config.tokenizer, given=Content.of(file) if file else None)


def tokenizer(files: RunFiles, given: Options, tick: Tick) -> int:
    """Train BPE on the clean text; tokenizer.json, and a report of what it achieves. Or take the one that is given."""
    from pipeline.tokenize import vocabulary_report
    from pipeline.tokenize.bpe import train_bpe

    options = given.tokenizer
    documents = files.rows(CLEAN)
    if not documents:
        raise UserError(
            f"no document is left to go on with; python -m pipeline stats {files.root} shows what removed them"
        )
    done = 0

    def batches() -> Iterator[tuple[pa.Array, pa.Array]]:
        nonlocal done
        for part in files.parts:
            for table in row_groups(files.file(CLEAN, part), ["text", "language"]):
                yield table["text"].combine_chunks(), table["language"].combine_chunks()
                done += len(table)
                tick(min(done, documents), done)

    if given.given is None:
        trained = train_bpe(
            (texts for texts, _ in batches()),
            options.vocab_size,
            (END_OF_TEXT,),
            _pattern(options.pattern),
            memory=options.memory - LIBRARIES,
            note=files.note,
            threads=files.workers,
        )
    else:
        trained = given_tokenizer(given.given.path, options.pattern)
        done = documents
    os.environ["FASTOKENS_BPE_THREADS"] = "1"  # beside ours; read once, when the first text is encoded
    threads = min(files.workers, 1 + (options.memory - LIBRARIES) // ENCODER)
    with atomic_folder(files.folder) as folder, ThreadPoolExecutor(threads) as pool:
        trained.save(folder / "tokenizer.json")
        report = vocabulary_report.measure(trained, batches(), pool)
        (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return documents


def check_tokens(config: Config) -> list[str]:
    """Raise UserError, before any work, for a budget that is too small and a given tokenizer that is none."""
    budgets = {"tokenizer.memory": config.tokenizer.memory, "shards.memory": config.shards.memory}
    for key, memory in budgets.items():
        if memory < LIBRARIES + SMALLEST_TABLE:
            least, libraries = (LIBRARIES + SMALLEST_TABLE) / 1e6, LIBRARIES / 1e6
            raise UserError(f"{key}: {least:,.0f}MB or more are needed; libraries and encoder take {libraries:,.0f}MB")
    if config.tokenizer.file is not None:
        given_tokenizer(config.tokenizer.file, config.tokenizer.pattern)
    return []


def given_tokenizer(file: str, pattern: str) -> "Tokenizer":
    """The one that `tokenizer.file` names, with an end of text; UserError for one that cannot be used."""
    from pipeline.tokenize.bpe import Tokenizer

    try:
        given = Tokenizer.from_file(file, pattern=_pattern(pattern))
        if END_OF_TEXT in given.special_tokens:
            return given
        return Tokenizer(given.vocab, given.merges, [*given.special_tokens, END_OF_TEXT], given.pattern)
    except UserError as error:
        raise UserError(f"tokenizer.file: {error}") from None


def _pattern(name: str) -> str:
    from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN

    return {"gpt2": GPT2_PATTERN, "cl100k": CL100K_PATTERN}[name]


def _kernels(options: Options) -> None:
    """Those that count pre-tokens and learn merges."""
    from pipeline.tokenize.bpe import train_bpe

    if options.given is None:
        train_bpe(["a word or two"], 257, (), _pattern(options.tokenizer.pattern))


TOKENIZER = Step(
    name="tokenizer",
    title="train tokenizer",
    version=4,
    run=tokenizer,
    options=_options,
    reads=(CLEAN,),
    whole=True,
    gated=False,
    product=True,
    libraries=("tokenizers", "regex"),
    kernels=_kernels,
    compiles=3,
    documents=lambda files: files.rows(CLEAN),
    check=check_tokens,
    files={
        "tokenizer.json": "the tokenizer, in the format of the library `tokenizers`",
        "tokenizer_config.json": "what `transformers` reads beside it",
        "report.json": "bytes per token, in all and by language; the longest tokens; those that no text needs",
    },
    passes=2,  # one to count the words, one to measure what has been learned
)
