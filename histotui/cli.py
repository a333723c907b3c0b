"""The `histotui` command: every subcommand in one place, and the one place where errors are shown."""

import io
import sys
from collections.abc import Sequence

import typer

from engine.spec.errors import DONE, INTERRUPTED, ConfigError, HistotuiError, Stopped
from engine.spec.failpoints import arm_from_environment
from engine.spec.first_run import FIRST_PRESET
from histotui import __version__, console
from histotui.commands.application import open_application
from histotui.commands.comparing import compare
from histotui.commands.data import data
from histotui.commands.doctor import doctor
from histotui.commands.ending import resume, stop
from histotui.commands.following import follow, logs
from histotui.commands.launch import run
from histotui.commands.listing import ls
from histotui.commands.options import ImagesOption, RunsOption
from histotui.commands.presets import presets
from histotui.commands.show import show
from histotui.commands.studying import study
from histotui.commands.trash import restore, rm
from histotui.commands.worth import worth

# typer has carried click inside itself since 0.26; its exports name the base class in every version.
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]

_FIRST = f"histotui run --preset {FIRST_PRESET} --quick"
_HELP = f"""Is what this generator makes of histopathology patches any use?

\b
histotui                                    the application: configure, launch, watch, look, compare
{_FIRST:<44}a first run, on built-in tissue
histotui run --preset baseline --data PATH  the classifier on real patches alone
histotui ls                                 every run and its test AUC
histotui compare @last RUN                  side by side with the study
"""

app = typer.Typer(
    name="histotui",
    help=_HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, study, presets, ls, show, compare, worth, follow, logs, stop, resume, rm, restore):
    app.command()(command)
app.add_typer(data, name="data")
app.command()(doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.out(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def bare(
    context: typer.Context,
    runs: RunsOption = None,
    images: ImagesOption = None,
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    if context.invoked_subcommand is None:
        raise typer.Exit(open_application(runs, images))
    if runs is not None or images is not None:
        option = "--images" if runs is None else "--runs"
        raise ConfigError(
            f"{option}: write it behind the command, as in `histotui {context.invoked_subcommand} {option} …`"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is part of the interface."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        arm_from_environment()
        code = app(args=arguments, prog_name="histotui", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except HistotuiError as error:
        console.say(f"{'stopped' if isinstance(error, Stopped) else 'error'}: {error}")
        return error.exit_code
    except _UsageError as error:
        console.say(f"error: {_usage(error)}")
        return ConfigError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except console.ReaderGone:
        for stream in (sys.stdout, sys.stderr):
            console.drop(stream)
        return INTERRUPTED


def _usage(error: Exception) -> str:
    message = getattr(error, "format_message", error.__str__)()
    context = getattr(error, "ctx", None)
    return f"{message}\n`{context.command_path} --help` tells what there is" if context else message
