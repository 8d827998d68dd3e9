"""Commands on config files: config show, config schema."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import Sets, console


def show(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A config file, or a recipe.")],
    set_: Sets = None,
) -> None:
    """Write out the whole config that is in effect.

    As TOML: what the file says over its base, with --set, and the defaults of all other keys.
    """
    from pipeline.config_file import load
    from pipeline.config_names import config_path
    from pipeline.tools.configs import show_config

    console().out(show_config(load(config_path(config), set_ or [])), highlight=False, end="")


def schema() -> None:
    """Write out the JSON Schema of a config file, for editors."""
    import json

    from pipeline.tools.configs import config_schema

    console().out(json.dumps(config_schema(), indent=1), highlight=False)
