"""What signals and rules mean, in words."""

from collections import defaultdict
from collections.abc import Mapping

from pipeline.config import Config
from pipeline.filters.rules import Reason
from pipeline.run.run import Run
from pipeline.run.steps import stage_of


def signal_meanings(config: Config) -> dict[str, str]:
    """Signal, or score of the config -> what it counts: the first line of its docstring."""
    from pipeline.filters.edits import MEASURES
    from pipeline.filters.signals import all_signals

    meanings = {signal.name: signal.doc for signal in all_signals(config.plugged.signals).values()}
    meanings |= dict.fromkeys(MEASURES, "Share that the edits took out.")
    meanings |= {name: f"The column {key} of the input." for name, key in config.input.kept.items()}
    return meanings | {name: f"Of a model: {score.kind}, {score.model}." for name, score in config.scores.items()}


def bound_of(run: Run, stage: str, rule: str) -> str | None:
    """The bound of a rule as `why` has it, such as "min = 50", and the languages it applies to; None where it has none."""
    decider = run.deciders[stage]
    assert decider.drops is not None
    of_no_row: Mapping[str, None] = defaultdict(lambda: None)
    bound = decider.drops(rule, of_no_row, run.options[decider.name], lambda step: None).bound
    signal = Reason.of(stage, rule).signal
    languages = next((other.languages for other in run.config.rules if other.signal == signal), None)
    return f"{bound} ({', '.join(languages)} only)" if bound and languages and stage == "quality" else bound


def meaning_of(run: Run, stage: str, rule: str, meanings: Mapping[str, str]) -> str:
    """What a rule of a stage looks at, in one line; `meanings` is what `signal_meanings` returned."""
    reason = Reason.of(stage, rule)
    steps = [step for step in run.steps if stage_of(step) == stage]
    reasons = {name: text for step in steps for name, text in step.reasons().items()}
    if rule in reasons:
        return reasons[rule]
    edited, _, signal = reason.signal.rpartition(".")
    meaning = meanings.get(signal, "")
    return f"Of the edited text: {meaning}" if edited and meaning else meaning
