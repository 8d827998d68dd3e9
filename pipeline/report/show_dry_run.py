"""A dry run on the console."""

from typing import TYPE_CHECKING

from pipeline.core.plain_values import toml_value
from pipeline.core.progress import safe
from pipeline.run.dry_run import DryRun

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 10
"""Changed settings that are listed."""


def show_dry_run(result: DryRun, screen: "Console") -> None:
    """Changed settings, and a line a step."""

    def say(line: str) -> None:
        screen.print(safe(line), highlight=False, soft_wrap=True)

    for note in result.notes:
        say(note)
    say(f"{result.root}: {result.parts:,} part{'s' * (result.parts != 1)} of input")
    for key, (before, now) in list(result.settings.items())[:SHOWN]:
        old, new = ("absent" if value is None else toml_value(value) for value in (before, now))
        say(f"changed since the last run: {key} = {new}, was {old}")
    if len(result.settings) > SHOWN:
        say(f"and {len(result.settings) - SHOWN:,} more settings")
    width = max((len(step.step) for step in result.steps), default=0)
    for step in result.steps:
        if not step.parts:
            state = "up to date"
        elif step.parts == result.parts:
            state = f"to do: {step.reason}"
        else:
            state = f"to do, {step.parts:,} of {result.parts:,} parts: {step.reason}"
        say(f"  {step.step:<{width}}  {state}")
    todo = sum(step.parts > 0 for step in result.steps)
    say(f"dry run: {todo} of {len(result.steps)} steps to do; nothing was written")
