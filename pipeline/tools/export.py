"""The tokens of a run, or of a directory of shards, in another trainer's format."""

from pathlib import Path

from pipeline.errors import UserError, did_you_mean
from pipeline.extract.inputs.files import local_directory
from pipeline.files import atomic_folder
from pipeline.run.open_shards import open_shards
from pipeline.run.run import open_run
from pipeline.tokenize import shards
from pipeline.tokenize.exports import FORMATS


def export(source: Path, format_: str, out: Path) -> list[str]:
    """Write the shards of `source` into the new directory `out`; lines that say how each file is read.

    UserError for an unknown format, shards that are not there, and an `out` that is.
    """
    if format_ not in FORMATS:
        raise UserError(f"{format_}: unknown format{did_you_mean(format_, FORMATS)}; known: {', '.join(FORMATS)}")
    if out.exists():
        raise UserError(f"{out}: exists already; choose another name")
    local_directory(out)
    tokenizer = None
    if (source / "manifest.json").is_file():
        opened = shards.open(source)
    else:
        run = open_run(source)
        opened, tokenizer = open_shards(run)[0], run.root / "tokenizer"
    kind = FORMATS[format_]
    line = kind.arguments(opened, out, tokenizer) if kind.arguments else None  # before any work, since it may refuse
    opened.verify_files()
    with atomic_folder(out) as folder:
        files = [out / path.relative_to(folder) for path in kind.write(opened, folder)]
    return [line] if line else kind.reader_lines(files, opened.manifest["dtype"])
