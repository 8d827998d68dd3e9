"""`recipes` on the terminal."""

from collections.abc import Sequence

from rich.console import Console, Group
from rich.padding import Padding

from pipeline.core.progress import safe
from pipeline.core.screen import table
from pipeline.report.recipes import Recipe, RecipeSummary

WIDE = 120
"""Columns from which on there is room for what a rule measures beside it; else it is below."""


def show_recipes(recipes: Sequence[RecipeSummary], console: Console) -> None:
    """A line for every recipe."""
    shown = table("recipe", "rules of", "needs")
    for recipe in recipes:
        shown.add_row(recipe.name, safe(recipe.about, lines=True), "a model" if recipe.needs_model else "")
    console.print(shown)
    console.print("next: python -m pipeline recipes NAME", highlight=False)


def show_recipe(recipe: Recipe, console: Console) -> None:
    """Extraction, languages, edits, every rule and what it counts, models, duplicates, masks."""
    console.print(f"[bold]{recipe.name}[/]\n{safe(recipe.about, lines=True)}\n", highlight=False)
    options = [("extract", f"{key} = {value}") for key, value in recipe.extract.items()]
    if recipe.language:
        options.append(("language", recipe.language))
    options += [("edit", f"{key} = {value}") for key, value in recipe.edits.items()]
    _show_lines(options, console)
    for title, rules in (("quality", recipe.quality), ("edited", recipe.edited)):
        if not rules:
            continue
        wide = console.width >= WIDE
        shown = table("keeps", f"rule of [{title}]".replace("[", "\\["), *(("meaning",) if wide else ()))
        shown.columns[1].no_wrap = wide
        for rule in rules:
            name, measures = safe(rule.signal), safe(rule.measures)
            below = Group(name, Padding(f"[dim]{measures}[/]", (0, 0, 0, 2)))
            shown.add_row(rule.keeps, *((name, measures) if wide else (below,)))
        console.print()
        console.print(shown)
    others = [("needs", f"{model.path} ({model.kind}), for {model.signal}") for model in recipe.models]
    if recipe.families:
        others.append(("measures", f"the signals of {', '.join(recipe.families)}"))
    others.append(("duplicates", recipe.duplicates))
    if recipe.masks:
        others.append(("masks", ", ".join(recipe.masks)))
    others.append(("file", str(recipe.file)))
    console.print()
    _show_lines(others, console)
    console.print(f"next: python -m pipeline run {recipe.name} --set input.paths=...", highlight=False, soft_wrap=True)


def _show_lines(lines: Sequence[tuple[str, str]], console: Console) -> None:
    """Names and values; long values are wrapped under themselves."""
    shown = table("", "")
    shown.show_header = False
    for name, value in lines:
        shown.add_row(name, safe(value))
    console.print(shown)
