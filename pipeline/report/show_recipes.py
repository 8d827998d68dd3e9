"""`recipes` on the terminal."""

from rich.console import Console
from rich.table import Table

from pipeline.core.progress import safe
from pipeline.report.recipes import Recipe


def show_recipes(recipes: dict[str, str], console: Console) -> None:
    """Every recipe's name and what it is about."""
    for name, about in recipes.items():
        console.print(f"[bold]{name}[/]\n  {safe(about)}", highlight=False)


def show_recipe(recipe: Recipe, console: Console) -> None:
    """Extraction, languages, edits, every rule and what it counts, models, duplicates, masks."""
    console.print(f"[bold]{recipe.name}[/]\n{safe(recipe.about)}\n", highlight=False)

    def line(title: str, text: str) -> None:
        console.print(f"{title:<13} {safe(text)}", highlight=False)

    for key, value in recipe.extract.items():
        line("extract", f"{key} = {value}")
    if recipe.language:
        line("language", recipe.language)
    for key, value in recipe.edits.items():
        line("edit", f"{key} = {value}")
    for title, rules in (("quality", recipe.quality), ("edited", recipe.edited)):
        if not rules:
            continue
        table = Table("rule", "keeps", "of", title=title, title_justify="left")
        for rule in rules:
            table.add_row(safe(rule.signal), rule.keeps, safe(rule.measures))
        console.print(table)
    for model in recipe.models:
        line("needs", f"{model.path} ({model.kind}), for {model.signal}")
    if recipe.families:
        line("measures", f"the signals of {', '.join(recipe.families)}")
    line("duplicates", recipe.duplicates)
    if recipe.masks:
        line("masks", ", ".join(recipe.masks))
    line("file", f"{recipe.file}; run it: python -m pipeline run {recipe.name} --set input.paths=…")
