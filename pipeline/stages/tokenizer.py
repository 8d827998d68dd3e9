"""tokenizer: byte-level BPE, trained on the clean text or read from a file."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.config import Config
from pipeline.core.engines import Progress
from pipeline.core.fingerprint import Content
from pipeline.core.ledger import row_groups
from pipeline.core.part import EarlierRun, RunFiles
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.files import atomic_folder
from pipeline.stages.clean import CLEAN
from pipeline.tokenize.options import TokenizerOptions

if TYPE_CHECKING:
    from pipeline.tokenize.bpe import Tokenizer

END_OF_TEXT = "<|endoftext|>"
LIBRARIES = 550_000_000
"""Bytes that Python, Arrow, Numba, row groups and an encoder with full caches take, whatever the corpus. Measured: 507 MB on
real text with a twentieth of its words misspelt (tests/benchmarks/tokenizer_memory.py)."""
ENCODER = 300_000_000
"""Most bytes of an encoder's caches per thread, measured on four million made-up words. They took 150 MB of the 507 MB."""
SMALLEST_TABLE = 50_000_000
"""Bytes that training needs besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the tokenizer is trained, or the file that it is read from."""

    tokenizer: TokenizerOptions
    file: Content | None

    def hashed(self) -> object:
        """What keys hash. Memory is included: with less of it, training ignores rare pre-tokens."""
        options = self.tokenizer
        return [self.file, options.pattern] if self.file else [options.pattern, options.vocab_size, options.memory]


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    file = config.tokenizer.file
    if file is not None and not Path(file).is_file():
        raise UserError(f"tokenizer.file: {file}: no such file")
    return Options(tokenizer=config.tokenizer, file=Content.of(file) if file else None)


def tokenizer(files: RunFiles, source: Options, progress: Progress) -> int:
    """Train BPE on the clean text, or read a given tokenizer; write tokenizer.json, and a report on it over the clean text."""
    from pipeline.tokenize import vocabulary_report
    from pipeline.tokenize.bpe import train_bpe

    options = source.tokenizer
    documents = files.rows(CLEAN)
    if not documents:
        raise UserError(f"no documents are left; python -m pipeline stats {files.root} shows what removed them")
    done = 0

    def batches() -> Iterator[tuple[pa.Array, pa.Array]]:
        nonlocal done
        for part in files.parts:
            for table in row_groups(files.file(CLEAN, part), ["text", "language"]):
                yield table["text"].combine_chunks(), table["language"].combine_chunks()
                done += len(table)
                progress(min(done, documents), done)

    if source.file is None:
        trained = train_bpe(
            (texts for texts, _ in batches()),
            options.vocab_size,
            (END_OF_TEXT,),
            options.pattern,
            memory=options.memory - LIBRARIES,
            note=files.note,
            threads=files.workers,
            folder=files.root / "ledger",
        )
    else:
        trained = given_tokenizer(source.file.path, options.pattern)
        done = documents
    os.environ["FASTOKENS_BPE_THREADS"] = "1"  # we have threads of our own; read once, when the first text is encoded
    threads = min(files.workers, 1 + (options.memory - LIBRARIES) // ENCODER)
    with atomic_folder(files.folder) as folder, ThreadPoolExecutor(threads) as pool:
        trained.save(folder / "tokenizer.json")
        report = vocabulary_report.measure(trained, batches(), pool)
        (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return documents


def check_tokens(config: Config) -> list[str]:
    """Raise UserError, before any work, for a memory budget that is too small or an invalid `tokenizer.file`."""
    budgets = {"tokenizer.memory": config.tokenizer.memory, "shards.memory": config.shards.memory}
    for key, memory in budgets.items():
        if memory < LIBRARIES + SMALLEST_TABLE:
            needed, libraries = (LIBRARIES + SMALLEST_TABLE) / 1e6, LIBRARIES / 1e6
            raise UserError(
                f"{key}: at least {needed:,.0f}MB are needed; libraries and encoder take {libraries:,.0f}MB"
            )
    if config.tokenizer.file is not None:
        given_tokenizer(config.tokenizer.file, config.tokenizer.pattern)
    return []


def given_tokenizer(file: str, pattern: str) -> "Tokenizer":
    """The tokenizer in `tokenizer.file`, with an end-of-text token; UserError if it cannot be used."""
    from pipeline.tokenize.bpe import Tokenizer

    try:
        return Tokenizer.from_file(file, pattern=pattern, special_tokens=[END_OF_TEXT])
    except UserError as error:
        raise UserError(f"tokenizer.file: {error}") from None


def _kernels(options: Options) -> None:
    """Compile the kernels that count pre-tokens and learn merges."""
    from pipeline.tokenize.bpe import train_bpe

    if options.file is None:
        train_bpe(["a word or two"], 257, (), options.tokenizer.pattern)


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
        "tokenizer_config.json": "settings that `transformers` reads beside it",
        "report.json": "bytes per token, in total and by language; the longest tokens; tokens that no text uses",
    },
    passes=2,  # one to count the words, one for the report
)
