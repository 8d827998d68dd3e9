"""The steps of a run, in order, and what follows from that order."""

from functools import cache

from pipeline.config import Config
from pipeline.core.step import Step
from pipeline.errors import UserError, did_you_mean
from pipeline.stages.clean import CLEAN
from pipeline.stages.decontaminate import CUT, FIND
from pipeline.stages.duplicates.candidates import CANDIDATES_STEP
from pipeline.stages.duplicates.outcome import DUPLICATES
from pipeline.stages.duplicates.signatures import SIGNATURES
from pipeline.stages.duplicates.spans import SPANS
from pipeline.stages.duplicates.verify import DOCUMENTS
from pipeline.stages.edit import EDIT
from pipeline.stages.extract import EXTRACT
from pipeline.stages.language import LANGUAGE, LANGUAGE_DECIDE
from pipeline.stages.quality import QUALITY
from pipeline.stages.quality_rules import QUALITY_DECIDE, SHARES
from pipeline.stages.scores import SCORES
from pipeline.stages.shards import ENCODE, SHARDS
from pipeline.stages.tokenizer import TOKENIZER
from pipeline.stages.train import TRAIN
from pipeline.stages.url_duplicates import URLS

STEPS = (
    EXTRACT, URLS,
    LANGUAGE, LANGUAGE_DECIDE,
    QUALITY, EDIT, SCORES, FIND, SHARES, QUALITY_DECIDE,
    SIGNATURES, CANDIDATES_STEP, DOCUMENTS, *SPANS, CUT, DUPLICATES,
    CLEAN,
    TOKENIZER,
    ENCODE, SHARDS,
    TRAIN,
)  # fmt: skip


def all_steps() -> tuple[Step, ...]:
    """STEPS, looked up at each call: a test or an extension may have replaced it."""
    return STEPS


@cache
def _stages(steps: tuple[Step, ...]) -> dict[str, str]:
    names: dict[str, str] = {}
    waiting: list[Step] = []
    for step in steps:
        waiting.append(step)
        if step.ends_stage:
            names |= {one.name: step.name.partition(".")[0] for one in waiting}
            waiting = []
    if waiting:
        raise ValueError(f"{waiting[0].name} belongs to no stage: no step after it drops rows or makes a product")
    return names


def stage_of(step: Step) -> str:
    """The stage that a step belongs to: the name of the next step that ends one."""
    return _stages(all_steps())[step.name]


def stages() -> list[str]:
    """The stages, in order."""
    return list(dict.fromkeys(_stages(all_steps()).values()))


def by_name(name: str) -> Step:
    """The step of this name; KeyError if there is none."""
    return {step.name: step for step in all_steps()}[name]


def needed_steps(config: Config) -> tuple[Step, ...]:
    """The steps that a config needs, in order."""
    return tuple(step for step in all_steps() if step.needed(config))


def upto(stage: str) -> tuple[Step, ...]:
    """The steps of all stages up to this one, inclusive."""
    known = stages()
    if stage not in known:
        raise UserError(f"--until {stage}: unknown stage{did_you_mean(stage, known)}; known: {', '.join(known)}")
    last = known.index(stage)
    return tuple(step for step in all_steps() if known.index(stage_of(step)) <= last)


def deciders(config: Config) -> dict[str, Step]:
    """Stage -> its last dropping step, whose `dropped` is final for the stage."""
    return {stage_of(step): step for step in needed_steps(config) if step.drops is not None}


def gate_of(step: Step, config: Config) -> Step | None:
    """The step whose `dropped` says which rows come to this one; None for a step without a gate."""
    if not step.gated:
        return None
    decided = deciders(config)
    if step.gate is not None:
        return decided[stage_of(step.gate)]
    order = stages()
    earlier = [name for name in decided if order.index(name) < order.index(stage_of(step))]
    return decided[earlier[-1]] if earlier else None


def layers_of(step: Step, config: Config) -> tuple[Step, ...]:
    """The steps that hold the text so far for `step`, the latest first."""
    before = []
    for other in needed_steps(config):
        if other is step:
            break
        if other.rewrites:
            before.append(other)
    return (*reversed(before), EXTRACT)


def reads_of(step: Step, config: Config) -> tuple[Step, ...]:
    """All steps that a step reads: those in `reads`, its gate, and those that hold the text so far."""
    gate = gate_of(step, config)
    steps = [*(other for other in step.reads if other.needed(config)), *([gate] if gate else [])]
    if step.text:
        steps += layers_of(step, config)
    return tuple(dict.fromkeys(steps))


def cut_steps(config: Config) -> tuple[Step, ...]:
    """The steps whose cuts are taken out of the text, in order."""
    return tuple(step for step in needed_steps(config) if step.cuts)
