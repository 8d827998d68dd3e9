"""Opening the shards of a finished run."""

from pipeline.errors import UserError
from pipeline.run.run import Run
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import Tokenizer


def open_shards(run: Run) -> tuple[shards.Shards, Tokenizer]:
    """A run's shards and their tokenizer; UserError if they are missing, or were made with another config."""
    if not run.is_done("shards"):
        raise UserError(f"{run.root}: no finished shards; python -m pipeline run … --until shards makes them")
    tokenizer = Tokenizer.from_file(run.root / "tokenizer")
    return shards.open(run.root / "shards", tokenizer), tokenizer
