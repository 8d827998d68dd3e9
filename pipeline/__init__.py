"""A data-pipeline toolkit for pretraining corpora: web archives in; a clean corpus, token shards and a small model out.

`dir(pipeline)` lists the stable names (docs/python-api.md explains them): functions and classes, and the rooms `extract`,
`filters`, `tokenize` and `train` with their modules. Each is imported when it is first used, so `import pipeline` loads
neither NumPy, Arrow, Numba nor torch, and all but `train`'s work without torch.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline import extract
    from pipeline.errors import UserError
    from pipeline.extract import html_to_text
    from pipeline.filters import c4, fineweb, gopher
    from pipeline.filters.classifier import QualityClassifier
    from pipeline.filters.language import LanguageIdentifier, Prediction
    from pipeline.filters.lines import dedup_lines
    from pipeline.filters.minhash import MinHasher, candidate_probability, dedup_documents, estimate, jaccard
    from pipeline.filters.pii import mask
    from pipeline.filters.rules import Rule
    from pipeline.filters.verdicts import Verdicts, evaluate
    from pipeline.tokenize import shards
    from pipeline.tokenize.bpe import Tokenizer, train_bpe
    from pipeline.train.config import TrainConfig
    from pipeline.train.evaluation import bits_per_byte
    from pipeline.train.export import load_model
    from pipeline.train.generate import generate, generate_text
    from pipeline.train.model import ModelConfig, Transformer
    from pipeline.train.optim import adamw, learning_rate
    from pipeline.train.scaling import TrainedModel, fit_isoflop, fit_parametric

__version__ = "0.2.0"
"""pyproject.toml takes it from here."""

_ROOMS = {
    "filters": ("c4", "classifier", "fineweb", "gopher", "language", "lines", "minhash", "pii", "rules"),
    "tokenize": ("bpe", "patterns", "shards"),
    "train": ("config", "evaluation", "export", "generate", "loop", "model", "optim", "scaling"),
}
"""The public modules of the rooms that are folders without code of their own."""

_HOMES = {
    "errors": ("UserError",),
    "extract": ("html_to_text",),
    "filters": ("c4", "fineweb", "gopher"),
    "filters.classifier": ("QualityClassifier",),
    "filters.language": ("LanguageIdentifier", "Prediction"),
    "filters.lines": ("dedup_lines",),
    "filters.minhash": ("MinHasher", "candidate_probability", "dedup_documents", "estimate", "jaccard"),
    "filters.pii": ("mask",),
    "filters.rules": ("Rule",),
    "filters.verdicts": ("Verdicts", "evaluate"),
    "tokenize": ("shards",),
    "tokenize.bpe": ("Tokenizer", "train_bpe"),
    "train.config": ("TrainConfig",),
    "train.evaluation": ("bits_per_byte",),
    "train.export": ("load_model",),
    "train.generate": ("generate", "generate_text"),
    "train.model": ("ModelConfig", "Transformer"),
    "train.optim": ("adamw", "learning_rate"),
    "train.scaling": ("TrainedModel", "fit_isoflop", "fit_parametric"),
}
"""Where each public name lives."""
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "LanguageIdentifier",
    "MinHasher",
    "ModelConfig",
    "Prediction",
    "QualityClassifier",
    "Rule",
    "Tokenizer",
    "TrainConfig",
    "TrainedModel",
    "Transformer",
    "UserError",
    "Verdicts",
    "__version__",
    "adamw",
    "bits_per_byte",
    "c4",
    "candidate_probability",
    "dedup_documents",
    "dedup_lines",
    "estimate",
    "evaluate",
    "extract",
    "filters",
    "fineweb",
    "fit_isoflop",
    "fit_parametric",
    "generate",
    "generate_text",
    "gopher",
    "html_to_text",
    "jaccard",
    "learning_rate",
    "load_model",
    "mask",
    "shards",
    "tokenize",
    "train",
    "train_bpe",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "extract":
        return import_module("pipeline.extract")
    if name not in _HOME:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}; dir(pipeline) lists its names")
    try:
        home = import_module(f"pipeline.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        cure = "it needs the extra: pip install 'corpus-pipeline[train]'"
        raise ModuleNotFoundError(f"pipeline.{name}: no module {error.name}; {cure}", name=error.name) from None
    return getattr(home, name)


def _open(room: str) -> ModuleType:
    """A room that lists its public modules and imports them when asked.

    It has no `__init__.py` that could do so: `tokenize/__init__.py` in the root would hide Python's module `tokenize` from
    everything that runs there.
    """
    module = import_module(f"pipeline.{room}")

    def find(name: str) -> Any:
        if name not in _ROOMS[room]:
            known = ", ".join(_ROOMS[room])
            raise AttributeError(f"module 'pipeline.{room}' has no attribute {name!r}; its modules: {known}")
        return import_module(f"pipeline.{room}.{name}")

    vars(module).update(__dir__=lambda: list(_ROOMS[room]), __getattr__=find)
    return module


filters, tokenize, train = (_open(room) for room in _ROOMS)
