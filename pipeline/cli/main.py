"""The command line, put together: the commands in the order of --help, and what becomes of an error.

A command is a function of the modules beside this one, and calls the function of the same name that does the work.
Commands import what they need when they run: `--help` brings neither torch nor Numba nor pyarrow.
"""

import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from pipeline import __version__
from pipeline.cli import configs, demo, look, models, run, tokens
from pipeline.core.plain_text import write_any_text
from pipeline.errors import UserError, printable

GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "Run": (demo.crawl, run.run, run.train),
    "Look at a run": (
        look.stats,
        look.sample,
        look.why,
        look.duplicates,
        look.contamination,
        tokens.tokens,
        look.verify,
    ),
    "Choose rules": (look.recipes, look.suggest, look.diff, models.ablate),
    "Use the tokens and the model": (tokens.mix, tokens.append, tokens.export, models.generate),
}
"""Heading in --help -> its commands."""
OTHERS = "Models and configs"
COMMANDS = tuple(command for commands in GROUPS.values() for command in commands)
INSTALLED = "corpus-pipeline"
"""The program that pip installs, and the distribution's name."""
USAGE_ERROR: Any = typer.BadParameter.__base__
"""What Typer raises for words it cannot place: its own class, or that of Click, by its version."""
STOPPED = (130, 143, 129)  # Typer's exit code for Ctrl-C, and those of `stoppable`


class Groups(TyperGroup):
    """Commands under headings, each with its whole summary."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, heading by heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            heading = getattr(command, "rich_help_panel", None)
            summary = " ".join((command.help or "").split("\n\n")[0].split())
            sections.setdefault(heading if isinstance(heading, str) else "Commands", []).append((name, summary))
        width = max(map(len, self.commands))
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])


class Command(TyperCommand):
    """A command whose --help names arguments and options as our documents do: RUN, without braces and types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line."""
        pieces = super().collect_usage_pieces(ctx)
        return [piece.replace("{", "").replace("}", "").replace("......", "...") for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                heading = "Arguments" if parameter.param_type_name == "argument" else "Options"
                sections[heading].append((record[0].partition(" <")[0], record[1]))
        for heading, rows in sections.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


app = typer.Typer(
    name="pipeline",
    cls=Groups,
    help="Turn web archives into a corpus worth training on, and prove it by training on it.",
    epilog="Start with: python -m pipeline crawl runs/demo.warc.gz && python -m pipeline run quickstart",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _heading, _commands in GROUPS.items():
    for _command in _commands:
        app.command(cls=Command, rich_help_panel=_heading)(_command)

classifier = typer.Typer(help="Quality models: fastText, trained on good and bad texts.", no_args_is_help=True)
classifier.command("train", cls=Command)(models.train_classifier)
app.add_typer(classifier, name="classifier", rich_help_panel=OTHERS)

perplexity = typer.Typer(help="Language models of n-grams, trained on a reference.", no_args_is_help=True)
perplexity.command("train", cls=Command)(models.train_perplexity)
app.add_typer(perplexity, name="perplexity", rich_help_panel=OTHERS)

config = typer.Typer(help="Config files: show what is in effect, or their JSON Schema.", no_args_is_help=True)
config.command("show", cls=Command)(configs.show)
config.command("schema", cls=Command)(configs.schema)
app.add_typer(config, name="config", rich_help_panel=OTHERS)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"{INSTALLED} {__version__}")  # noqa: T201 (the output itself)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before any command."""


def main(arguments: list[str] | None = None) -> Any:
    """The program. Exit codes: 0, 1 for a bug, 2 for a user's mistake, 130 when stopped."""
    from pipeline.core.engines import disk_message, is_disk_error, stoppable

    for stream in (sys.stdout, sys.stderr):
        write_any_text(stream)
    given = sys.argv[1:] if arguments is None else arguments
    completes = given[:1] and given[0].startswith(("--install-completion", "--show-completion"))
    try:
        # A shell completes the words of a program; it knows none called "python -m pipeline".
        with stoppable():
            code = app(arguments, prog_name=INSTALLED if completes else None, standalone_mode=False)
    except UserError as error:
        _fail(str(error))
    except USAGE_ERROR as error:  # a wrong option, argument or command
        message = error.format_message()
        if message.startswith("Usage: "):  # no argument at all: the help
            print(message, file=sys.stderr)  # noqa: T201
            sys.exit(2)
        program = error.ctx.command_path if error.ctx else INSTALLED
        message = " ".join(message.split()).rstrip(".")
        _fail(f"{message}{' ' if message.endswith('?') else '; '}{program} --help lists what it takes")
    except MemoryError:
        _fail("memory ran out; no finished work is lost")
    except OSError as error:
        if not is_disk_error(error):
            raise
        _fail(disk_message(error))
    except SystemExit as stop:
        code = stop.code
    if code in STOPPED:
        print("stopped; run the same command again to resume: finished parts are kept", file=sys.stderr)  # noqa: T201
    sys.exit(code or 0)


def _fail(message: str) -> NoReturn:
    print(f"error: {printable(message)}", file=sys.stderr)  # noqa: T201
    sys.exit(2)


if __name__ == "__main__":
    main()
