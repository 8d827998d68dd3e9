"""The training loop: from shards and a config to a model and its metrics.

The directory it writes:

    metrics.jsonl            one line per step, and one before the first; no times, so that runs can be compared
    checkpoint.safetensors   while it runs: where a killed run continues
    model.safetensors, config.json   the model, in Hugging Face's Llama format
    loss.png                 the loss curve
    result.json              written last: if it exists with this run's fingerprint, the run is finished

The same shards, config, device, number of threads and version of torch give the same bytes, however often the run was killed.
(Sums differ in their last bits with another number of threads or on another device.)
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch.nn.functional as F
import torch.utils.deterministic
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from pipeline.arguments import kind_of, path_of, warn_caller
from pipeline.errors import UserError
from pipeline.files import sweep, write_text
from pipeline.tokenize import shards as token_shards
from pipeline.train import checkpoint
from pipeline.train.batches import batch, task_of
from pipeline.train.config import TrainConfig
from pipeline.train.data import Split, Tokens
from pipeline.train.evaluation import Evaluation, evaluate, evaluate_task
from pipeline.train.export import export_model, write_settings
from pipeline.train.model import ModelConfig, Transformer
from pipeline.train.optim import adamw, learning_rate
from pipeline.train.plot import plot_losses

VERSION = 1  # raise it when a change to the code gives other weights for the same config


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What `progress` is called with after each step."""

    step: int  # updates done
    steps: int
    train_loss: float  # nats per token, of this step's batch
    validation_loss: float  # nats per token, the latest measured
    tokens_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A finished training run; `result.json` has all fields but `seconds`."""

    steps: int
    parameters: int
    tokens_seen: int
    train_loss: float  # nats per token, mean of the last 20 steps
    validation_loss: float  # nats per token
    # Of the validation text; None if its bytes are unknown, or not every token is predicted.
    bits_per_byte: float | None
    seconds: float  # duration of this call; 0 if the run was already finished


def train(
    config: TrainConfig,
    shards: Path | str,
    out: Path | str,
    *,
    validation: Tokens | None = None,
    progress: Callable[[Progress], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train a model on the shards in directory `shards`, into directory `out`; continue from a checkpoint found there.

    Its loss is measured on the shards' validation split, or on `validation`.

    A finished run of the same config and shards is left as it is, but for a `config.json` of an earlier version. Files in
    `out` from another config or other shards are replaced, and `note` is called with a message; without `note`, it is a
    UserWarning. An exception (also Ctrl-C)
    leaves the last checkpoint. `UserError` for shards that are damaged or too small, a missing device, and a loss that is
    not finite.
    """
    if not isinstance(config, TrainConfig):
        raise TypeError(f"config must be a TrainConfig, not {kind_of(config)}")
    start_time = time.perf_counter()
    shards, out = path_of(shards, "shards"), path_of(out, "out")
    corpus = token_shards.open(shards)
    key = fingerprint(config, shards, validation)
    checkpoint_file = out / "checkpoint.safetensors"
    if (done := finished(out, key)) is not None:
        checkpoint_file.unlink(missing_ok=True)  # left if the run was killed right before deleting it
        vocab_size = task_of(config, corpus.vocab_size, corpus.end_of_text).vocab_size
        write_settings(
            model_shape(config, vocab_size), out, end_of_text=corpus.end_of_text
        )  # as this version writes it
        return done
    corpus.verify_files()
    device = find_device(config.device)
    dtype = torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
    task = task_of(config, corpus.vocab_size, corpus.end_of_text)
    validation_split: Split = validation or corpus.splits["validation"]

    def documents(split: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if split == "validation" and validation is not None:
            return validation.documents(corpus.end_of_text)
        table = corpus.documents(split)
        return table["start"].to_numpy(), table["length"].to_numpy()

    rows = task.rows(corpus.splits["train"], lambda: documents("train"), name="train")
    validation_rows = None
    if not task.is_plain:
        validation_rows = task.rows(validation_split, lambda: documents("validation"), name="validation")
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)

    with reproducible(device, config.threads):
        model = first_model(config, task.vocab_size).to(device)
        optimizer = adamw(model, config)

        def measure() -> Evaluation:
            options: dict[str, Any] = {
                "tokens": config.evaluation_tokens,
                "batch_size": config.batch_size,
                "dtype": dtype,
            }
            if validation_rows is None:
                return evaluate(model, validation_split, end_of_text=corpus.end_of_text, **options)
            return evaluate_task(model, validation_rows, task, seed=config.seed, **options)

        state = resume(out, key, model, optimizer, note)
        with (out / "metrics.jsonl").open("ab") as metrics:
            if state is None:
                evaluation = measure()
                write_line(metrics, {"step": 0, "tokens": 0} | losses(evaluation))
            else:
                evaluation = Evaluation(**state["checked"])

            for step in range(state["step"] if state else 0, config.steps):
                rate = learning_rate(step, config)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                arrays = batch(rows, task.objective, seed=config.seed, step=step, batch_size=config.batch_size)
                sees = task.sees(arrays)
                inputs, targets = (torch.from_numpy(arrays[name]) for name in ("inputs", "targets"))
                with torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
                    logits = model(inputs.to(device), None if sees is None else torch.from_numpy(sees).to(device))
                loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.to(device).flatten())
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nats, norm = loss.item(), clip(model, config.grad_clip)
                stop_unless_finite(step, nats, norm, rate)
                optimizer.step()

                done_steps, last = step + 1, step + 1 == config.steps
                tokens = done_steps * config.batch_size * rows.context
                line: dict[str, Any] = {"step": done_steps, "tokens": tokens, "loss": nats}
                line |= {"learning_rate": rate, "gradient_norm": norm}
                if done_steps % config.evaluate_every == 0 or last:
                    evaluation = measure()
                    line |= losses(evaluation)
                write_line(metrics, line)
                if done_steps % config.checkpoint_every == 0 or last:
                    progress_state = {"fingerprint": key, "step": done_steps, "metrics_bytes": metrics.tell()}
                    checkpoint.save(checkpoint_file, model, optimizer, progress_state | {"checked": asdict(evaluation)})
                if progress is not None:
                    progress(
                        Progress(
                            step=done_steps,
                            steps=config.steps,
                            train_loss=nats,
                            validation_loss=evaluation.nats_per_token,
                            tokens_seen=tokens,
                        )
                    )

    export_model(model, out, end_of_text=corpus.end_of_text)
    plot_losses(out / "metrics.jsonl", out / "loss.png")
    result = TrainResult(
        steps=config.steps,
        parameters=model.parameter_count(),
        tokens_seen=config.steps * config.batch_size * rows.context,
        train_loss=last_losses(out / "metrics.jsonl"),
        validation_loss=evaluation.nats_per_token,
        bits_per_byte=evaluation.bits_per_byte,
        seconds=time.perf_counter() - start_time,
    )
    fields = {name: value for name, value in asdict(result).items() if name != "seconds"}
    write_text(out / "result.json", json.dumps({"fingerprint": key} | fields, indent=2) + "\n")
    checkpoint_file.unlink()
    return result


def fingerprint(config: TrainConfig, shards: Path, validation: Tokens | None = None) -> str:
    """A hash of everything that decides the weights and figures: config, the shards' manifest (which has their digests), the
    validation texts, the version of this code and of torch."""
    settings = {name: value for name, value in asdict(config).items() if name != "checkpoint_every"}
    manifest = hashlib.sha256((shards / "manifest.json").read_bytes()).hexdigest()
    parts = [VERSION, str(torch.__version__), settings, manifest, *([validation.sha256] if validation else [])]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def finished(out: Path, key: str) -> TrainResult | None:
    """The result in `out`, if it is from the run with this fingerprint and the model beside it is as long as it says."""
    try:
        fields = json.loads((out / "result.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if fields.pop("fingerprint", None) != key:
        return None
    try:
        with safe_open(out / "model.safetensors", "pt"):  # compares the header with the file's length
            pass
    except (OSError, SafetensorError):
        return None
    return TrainResult(**fields, seconds=0.0)


def find_device(name: str) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`; `UserError` if CUDA is requested but not available."""
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise UserError('train.device = "cuda": torch sees no CUDA device here; "auto" and "cpu" work')
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


def first_model(config: TrainConfig, vocab_size: int) -> Transformer:
    """The untrained model, on the CPU, so that weights are the same on every device; the caller's generator is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)  # only the CPU's; torch.manual_seed would reset CUDA's too
        return Transformer(model_shape(config, vocab_size))


def model_shape(config: TrainConfig, vocab_size: int) -> ModelConfig:
    """The shape of the model that a config trains."""
    return ModelConfig(
        vocab_size=vocab_size,
        layers=config.layers,
        width=config.width,
        heads=config.heads,
        kv_heads=config.kv_heads,
        hidden=config.swiglu_hidden,
        context=config.context,
        rope_theta=config.rope_theta,
        norm_eps=config.norm_eps,
        tie_embeddings=config.tie_embeddings,
    )


@contextmanager
def reproducible(device: torch.device, threads: int | None) -> Iterator[None]:
    """Use deterministic kernels and this many CPU threads; torch's global settings are restored afterwards."""
    if device.type == "cuda":  # read by cuBLAS when it starts; torch requires it for deterministic products
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    memory: Any = torch.utils.deterministic
    old_mode, old_fill = torch.get_deterministic_debug_mode(), memory.fill_uninitialized_memory
    old_threads = torch.get_num_threads()
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # otherwise torch fills every new tensor with NaN first
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(old_mode)
        memory.fill_uninitialized_memory = old_fill
        torch.set_num_threads(old_threads)


def resume(
    out: Path,
    key: str,
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    note: Callable[[str], None] | None,
) -> dict[str, Any] | None:
    """Load the checkpoint of the run with this fingerprint, and truncate the metrics to it; returns its state.

    None if the run starts from the beginning; files of an earlier run in `out` are then removed.
    """
    path, metrics = out / "checkpoint.safetensors", out / "metrics.jsonl"
    state = checkpoint.read_state(path)
    if state is not None and state["fingerprint"] == key and metrics.is_file():
        written: int = state["metrics_bytes"]
        if metrics.stat().st_size >= written:
            checkpoint.load(path, model, optimizer)
            os.truncate(metrics, written)
            return state
    if path.exists() or (out / "result.json").exists():
        (note or warn_caller)(
            f"{out}: has a model of another config or other shards; training starts from the beginning"
        )
    for name in (
        "result.json",
        "checkpoint.safetensors",
        "metrics.jsonl",
        "model.safetensors",
        "config.json",
        "loss.png",
    ):
        (out / name).unlink(missing_ok=True)
    return None


def clip(model: Transformer, max_norm: float | None) -> float:
    """Scale the gradient down to norm `max_norm` if it is longer (Pascanu et al. 2013, 1211.5063); returns its norm before."""
    return float(torch.nn.utils.clip_grad_norm_(model.parameters(), math.inf if max_norm is None else max_norm))


def stop_unless_finite(step: int, loss: float, norm: float, rate: float) -> None:
    """`UserError` if loss or gradient is not finite, which is nearly always the fault of the config."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise UserError(
            f"train: at step {step + 1} the loss is {loss} and the gradient's norm {norm} (learning rate {rate:.3g}): "
            "lower train.learning_rate, or raise train.warmup_steps"
        )


def losses(evaluation: Evaluation) -> dict[str, float | None]:
    """The fields of an evaluation in a line of metrics."""
    return {"validation_loss": evaluation.nats_per_token, "bits_per_byte": evaluation.bits_per_byte}


def write_line(metrics: IO[bytes], line: dict[str, Any]) -> None:
    """Append one JSON line and flush it, so that it is written before a checkpoint relies on it."""
    metrics.write(json.dumps(line).encode() + b"\n")
    metrics.flush()


def last_losses(metrics: Path, steps: int = 20) -> float:
    """Mean training loss of the last steps, since that of one batch is noisy."""
    lines = [json.loads(line) for line in metrics.read_bytes().splitlines()]
    last = [line["loss"] for line in lines if "loss" in line][-steps:]
    return math.fsum(last) / len(last)
