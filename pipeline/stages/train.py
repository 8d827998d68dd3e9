"""train: a model on the shards."""

import os
import shutil
from importlib.util import find_spec

from pipeline.config import Config
from pipeline.core.engines import Progress
from pipeline.core.part import RunFiles
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.files import atomic
from pipeline.stages.shards import SHARDS
from pipeline.stages.tokenizer import TOKENIZER
from pipeline.train.config import TrainConfig

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def train(files: RunFiles, options: TrainConfig, progress: Progress) -> int:
    """Train the model on the shards; the loop keeps its own checkpoints and resumes from them. Returns the steps."""
    # Before torch loads OpenMP: threads that spin while waiting make a busy machine several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from pipeline.train.loop import train as train_model

    result = train_model(options, files.folders[SHARDS.name], files.folder, progress=files.on_train, note=files.note)
    for name in TOKENIZER_FILES:  # so that the folder alone opens in transformers
        with atomic(files.folder / name) as temporary:
            shutil.copyfile(files.folders[TOKENIZER.name] / name, temporary)
    return result.steps


def check_torch(config: Config) -> list[str]:
    """Raise UserError if torch is not installed."""
    if find_spec("torch") is None:
        raise UserError(
            "training needs the extra: pip install 'corpus-pipeline[train]', or stop before it with --until shards"
        )
    return []


TRAIN = Step(
    name="train",
    title="train model",
    version=2,
    run=train,
    options=lambda config, earlier: config.train,
    reads=(SHARDS, TOKENIZER),
    whole=True,
    gated=False,
    product=True,
    libraries=("torch",),
    check=check_torch,
    files={
        "model.safetensors": "the weights, in Hugging Face's Llama format",
        "config.json": "the model's shape, in the same format",
        "tokenizer.json": "the tokenizer of the shards, so that the folder alone opens in `transformers`",
        "tokenizer_config.json": "its settings for `transformers`: end-of-text is eos and pad, and there is no bos",
        "metrics.jsonl": "one line per step: loss, learning rate, gradient norm; validation loss where measured",
        "loss.png": "the loss curves",
        "result.json": "written last: final losses, steps, tokens, parameters",
        "checkpoint.safetensors": "only during training: a killed run resumes from it",
    },
    passes=0,
)
