"""The command line, put together: the commands in the order of --help, and what becomes of an error.

A command is a function of the modules beside this one, and calls the function of the same name that does the work.
Commands import what they need when they run: `--help` brings neither torch nor Numba nor pyarrow.
"""

import sys
from typing import Any

import typer

from pipeline.cli import demo, look, models, run, tokens
from pipeline.errors import UserError

COMMANDS = (
    run.run,
    look.stats,
    look.sample,
    look.why,
    look.recipes,
    look.diff,
    look.contamination,
    look.suggest,
    tokens.tokens,
    tokens.mix,
    tokens.append,
    tokens.export,
    look.duplicates,
    demo.crawl,
    run.train,
    models.ablate,
    models.generate,
)
STOPPED = 130  # Typer's exit code for Ctrl-C

app = typer.Typer(
    name="pipeline",
    help="Turn web archives into a corpus worth training on, and prove it by training on it.",
    epilog="Start with: python -m pipeline crawl runs/demo.warc.gz && python -m pipeline run configs/quickstart.toml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _command in COMMANDS:
    app.command()(_command)

classifier = typer.Typer(help="Quality models: fastText, trained on good and bad texts.", no_args_is_help=True)
classifier.command("train")(models.train_classifier)
app.add_typer(classifier, name="classifier")

perplexity = typer.Typer(help="Language models of n-grams, trained on a reference.", no_args_is_help=True)
perplexity.command("train")(models.train_perplexity)
app.add_typer(perplexity, name="perplexity")


def main(arguments: list[str] | None = None) -> Any:
    """The program. Exit codes: 0, 1 for a bug, 2 for a user's mistake, 130 when stopped."""
    from pipeline.core.engines import disk_message, is_disk_error

    try:
        return app(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except OSError as error:
        if not is_disk_error(error):
            raise
        print(f"error: {disk_message(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == STOPPED:
            print("stopped; run the same command again to go on", file=sys.stderr)  # noqa: T201
        raise


if __name__ == "__main__":
    main()
