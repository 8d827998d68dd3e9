"""train: a model on the shards."""

import os
from importlib.util import find_spec

from pipeline.config import Config
from pipeline.core.engines import Progress
from pipeline.core.part import RunFiles
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.stages.shards import SHARDS
from pipeline.train.config import TrainConfig


def train(files: RunFiles, options: TrainConfig, progress: Progress) -> int:
    """Train the model on the shards; the loop keeps its own checkpoints and resumes from them. Returns the steps."""
    # Before torch loads OpenMP: threads that spin while waiting make a busy machine several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from pipeline.train.loop import train as train_model

    result = train_model(options, files.folders[SHARDS.name], files.folder, progress=files.on_train, note=files.note)
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
    version=1,
    run=train,
    options=lambda config, earlier: config.train,
    reads=(SHARDS,),
    whole=True,
    gated=False,
    product=True,
    libraries=("torch",),
    check=check_torch,
    files={
        "model.safetensors": "the weights, in Hugging Face's Llama format",
        "config.json": "the model's shape, in the same format",
        "metrics.jsonl": "one line per step: loss, learning rate, gradient norm; validation loss where measured",
        "loss.png": "the loss curves",
        "result.json": "written last: final losses, steps, tokens, parameters",
        "checkpoint.safetensors": "only during training: a killed run resumes from it",
    },
    passes=0,
)
