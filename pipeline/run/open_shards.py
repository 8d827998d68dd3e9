"""Opening the shards of a finished run."""

from pipeline.run.run import Run
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import Tokenizer


def open_shards(run: Run) -> tuple[shards.Shards, Tokenizer]:
    """A run's shards and their tokenizer; UserError if they are missing, or were made with another config."""
    run.require("shards", advice="run it again, --until shards")
    tokenizer = Tokenizer.from_file(run.root / "tokenizer")
    return shards.open(run.root / "shards", tokenizer), tokenizer
