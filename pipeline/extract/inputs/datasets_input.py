"""Whatever `datasets` can load from a folder, shard by shard."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.extract.inputs.archive import Record
from pipeline.extract.inputs.documents import check_columns, key_names, nested_keys, record_of
from pipeline.extract.options import Columns, Dataset

_BATCH_ROWS = 64


def open_dataset(options: Dataset) -> Any:
    """The split as a `datasets.IterableDataset`; UserError if it cannot be loaded. Data are loaded when they are read."""
    try:
        import datasets
    except ImportError:
        raise UserError("input.dataset needs the extra: pip install 'corpus-pipeline[datasets]'") from None
    datasets.disable_progress_bars()
    try:
        if (Path(options.name) / "state.json").is_file():
            return datasets.load_from_disk(options.name).to_iterable_dataset()
        if (Path(options.name) / "dataset_dict.json").is_file():
            return datasets.load_from_disk(options.name)[options.split].to_iterable_dataset()
        builder = datasets.load_dataset_builder(options.name, options.subset, revision=options.revision)
        if getattr(builder.config, "batch_size", 1) is None:  # of Parquet: a row group, which fails if it has no rows
            builder.config.batch_size = _BATCH_ROWS
        return builder.as_streaming_dataset(split=options.split)
    except Exception as error:  # a builder, a script or the network may raise anything
        raise UserError(f"input.dataset: {options.name}: cannot be loaded ({_first_line(error)})") from None


def read_dataset(options: Dataset, shard: int, columns: Columns, limit: int) -> Iterator[Record]:
    """A record for each row of one of the dataset's shards; `offset` is the row's number in the shard, `length` is 0."""
    dataset = open_dataset(options)
    rows = dataset if dataset.num_shards == 1 else dataset.shard(num_shards=dataset.num_shards, index=shard)
    for row, values in enumerate(_tried(rows, f"input.dataset: {options.name}: shard {shard}")):
        if not row:
            check_columns(f"input.dataset: {options.name}", key_names(values), columns, nested=nested_keys(values))
        record = record_of(values, columns, limit)
        record.offset = row
        yield record


def _tried(rows: Iterable[Mapping[str, Any]], where: str) -> Iterator[Mapping[str, Any]]:
    """The rows; UserError for what reading one of them raises."""
    reading = iter(rows)
    for row in count():
        try:
            values = next(reading)
        except StopIteration:
            return
        except MemoryError:
            raise
        except Exception as error:  # a builder, a script or the network may raise anything
            raise UserError(f"{where}: cannot be read from row {row:,} on ({_first_line(error)})") from None
        yield values


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def dataset_state(options: Dataset) -> Any:
    """A value that changes when the data do: names, sizes and times of a directory's files, or the hub's version of each."""
    folder = Path(options.name)
    if folder.is_dir():
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return [[str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    import datasets

    builder = datasets.load_dataset_builder(options.name, options.subset, revision=options.revision)
    remote = (builder.config.data_files or {}).get(options.split)
    return [builder.hash, [list(origin) for origin in getattr(remote, "origin_metadata", [])]]
