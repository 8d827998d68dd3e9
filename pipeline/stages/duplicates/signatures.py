"""duplicates.signatures: content hash and MinHash band keys of every text that the language stage kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.engines import Progress, Retry
from pipeline.core.fingerprint import part_of
from pipeline.core.measuring import measure
from pipeline.core.part import EarlierRun, PartFiles
from pipeline.core.step import Column, Step, columns
from pipeline.filters.dedup.options import MinHashOptions
from pipeline.stages.language import LANGUAGE_DECIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(MinHashOptions):
    """What the signatures depend on."""

    whole: bool
    """Whether whole signatures are stored instead of band keys."""


def signature_options(config: Config) -> Options:
    """What this run's signatures depend on."""
    options = config.duplicates
    return Options(**asdict(part_of(MinHashOptions, options)), whole=options.verify == "signature")


def sign(files: PartFiles, options: Options, progress: Progress, retry: Retry) -> int:
    """Write content hash and MinHash band keys of every row that the language stage kept: a changed quality rule measures
    nothing again."""
    from pipeline.filters.dedup.exact import content_hashes
    from pipeline.filters.minhash import MinHasher, band_columns, band_keys, value_columns

    hasher = MinHasher(options.bands * options.rows, options.ngram, options.seed, unit=options.unit)
    schema = signature_schema(options)

    def compute(text: pa.Array) -> list[pa.Array]:
        values = hasher.signatures(text)
        if options.whole:
            columns = value_columns(values, options.bands, options.rows)
        else:
            columns = band_columns(band_keys(values, options.bands, options.rows))
        return [content_hashes(text), pc.cast(pc.binary_length(text), pa.int64()), *columns.values()]

    return measure(files, schema, compute, progress, retry)


def signature_schema(options: Options, names: Sequence[str] | None = None) -> pa.Schema:
    """One column per band: its key, or with whole signatures the values of its rows, 8 bytes each."""
    kind = pa.binary(8 * options.rows) if options.whole else pa.uint64()
    names = band_names(options.bands) if names is None else names
    return pa.schema([("content_hash", pa.binary(16)), ("text_bytes", pa.int64()), *((name, kind) for name in names)])


def band_names(bands: int) -> list[str]:
    """Names of the band columns."""
    return [f"band_{band:02d}" for band in range(bands)]


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    return signature_options(config)


def _kernels(options: Options) -> None:
    from pipeline.filters.minhash import warm_up

    warm_up()


def _columns() -> tuple[Column, ...]:
    meanings = {
        "content_hash": "BLAKE2b of the normalized text: equal for exact copies; null: a worker died on the row",
        "text_bytes": "bytes of the text in UTF-8",
        "band_NN": 'key of a MinHash band; with verify = "signature" the values of its rows, 8 bytes each',
    }
    example = Options(unit="words", ngram=1, bands=1, rows=1, seed=1, whole=False)
    return columns(signature_schema(example, ["band_NN"]), meanings)


SIGNATURES = Step(
    name="duplicates.signatures",
    title="sign for duplicates",
    version=2,
    run=sign,
    options=_options,
    gate=LANGUAGE_DECIDE,  # so that a changed quality rule signs nothing again
    text=True,
    libraries=("unicode",),
    kernels=_kernels,
    compiles=3,
    shows=False,
    columns=_columns,
)
