"""The tokens of a run, or of a directory of shards, in another trainer's format."""

from pathlib import Path

from pipeline.errors import UserError, did_you_mean
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
    opened = shards.open(source) if (source / "manifest.json").is_file() else open_shards(open_run(source))[0]
    with atomic_folder(out) as folder:
        files = [out / path.relative_to(folder) for path in FORMATS[format_].write(opened, folder)]
    return FORMATS[format_].reader_lines(files, opened.manifest["dtype"])
