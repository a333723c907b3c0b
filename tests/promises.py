"""The promises that runs keep under faults, and the tests in which each is put to it.

A test counts once for each of its cases; one that injects more faults says how many: `record_property("faults", 7)`.
`pytest --promises=README.md` writes the table between its marks, with what was injected and what was survived.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BEGIN: Final = "<!-- promises -->"
END: Final = "<!-- /promises -->"


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised, and the tests of it as `file:beginning of the test's name`."""

    words: str
    tests: tuple[str, ...]


PROMISES: Final[Mapping[str, Promise]] = {
    "R1": Promise(
        "A run that was killed goes on and ends bit for bit as if it had not been: weights, averages, optimizers, "
        "random numbers, pictures, rows of metrics",
        (
            "test_failpoints:test_killed",
            "test_resume:test_killed_at_five_random_moments",
            "test_resume_generators:test_a_run_stopped_in_each_stage",
            "test_audit:test_a_run_that_was_mended",
        ),
    ),
    "R2": Promise(
        "What is written is there as a whole or not at all; a damaged checkpoint gives way to the one before",
        (
            "test_writing:test_killed",
            "test_checkpoints:test_damage_is_found",
            "test_checkpoints:test_what_a_crash_left",
        ),
    ),
    "R3": Promise(
        "A checkpoint that the disk refuses ends no training; where nothing can be written a run ends by name, damages "
        "nothing, and goes on to the same end",
        (
            "test_failpoints:test_a_disk_that_refuses",
            "test_writing:test_a_full_disk",
            "test_disk:test_a_disk_that_refuses",
            "test_full_disk:test_",
        ),
    ),
    "R4": Promise(
        "What the log has said is never lost, and never said twice",
        (
            "test_events:test_every_prefix_of_a_log",
            "test_events:test_a_torn_line",
            "test_events:test_a_resumed_run_says_no_step_twice",
        ),
    ),
    "R5": Promise(
        "Closing the application, a cut connection or a lost terminal stops no run",
        (
            "test_launcher:test_a_hang_up",
            "test_ssh:test_a_run_launched_over_ssh",
            "test_application_pty:test_a_run_outlives",
            "test_cli_run:test_losing_the_terminal",
            "test_logout:test_",
        ),
    ),
    "R6": Promise(
        "A dead run is never shown as running, and another process never taken for it",
        (
            "test_runs:test_a_dead_run_is_never_shown",
            "test_runs:test_a_zombie",
            "test_runs:test_somebody_else",
            "test_cli_run:test_a_reused_pid",
            "test_launcher:test_another_process_is_left_alone",
        ),
    ),
    "R6c": Promise(
        "A clock that is set while runs go on changes no state, no duration and no order",
        ("test_clock:test_",),
    ),
    "R7": Promise(
        "A run that is asked to stop leaves a checkpoint in whatever stage it is; asked twice, it ends at once",
        (
            "test_resume:test_asked_to_stop",
            "test_launcher:test_asked",
            "test_cli_run:test_asked_twice",
            "test_hang:test_asked_twice",
            "test_hang:test_it_can_be_killed",
        ),
    ),
    "R8": Promise(
        "One run per device; more wait in the order in which they came, and nobody waits for one that was killed",
        ("test_device_queue:test_",),
    ),
    "R9": Promise(
        "What is not a number stops training before the update, with a postmortem",
        ("test_failpoints:test_what_is_not_finite", "test_failpoints:test_killed_over_a_postmortem"),
    ),
    "R10": Promise(
        "Out of memory is a failure of its own, with the preflight's figures and what to change",
        ("test_failpoints:test_out_of_memory",),
    ),
    "R12": Promise(
        "The index of runs may be lost, damaged or read-only: the listing stays the same",
        ("test_index:test_damage_changes_nothing", "test_index:test_a_byte_anywhere"),
    ),
    "R13": Promise(
        "A run that has ended, however it ended, leaves no process behind",
        ("test_soak:test_trials_end_clean", "test_launcher:test_a_hang_up"),
    ),
    "S1": Promise(
        "Nothing in a run folder reaches the terminal as a command",
        ("test_text:test_attacks", "test_application_pty:test_nothing_of_hostile", "test_cli_run:test_what_a_run_says"),
    ),
    "S2": Promise(
        "Data is never taken for markup or for an action",
        ("test_look:test_markup", "test_chart:test_names_from_a_file", "test_cli_show:test_markup"),
    ),
    "S3": Promise(
        "No file that is read runs code or takes memory without end; what cannot be understood has an error of its own",
        (
            "test_hostile_files:test_a_hostile",
            "test_hostile_files:test_hostile",
            "test_hostile_files:test_a_pickle",
            "test_hostile_files:test_an_archive",
            "test_hostile_files:test_predictions",
            "test_data_faults:test_gzipped",
            "test_data_faults:test_more_labels",
            "test_fuzz:test_any",
            "test_fuzz:test_a_damaged",
            "test_fuzz:test_a_writer",
            "test_cli_damage:test_",
        ),
    ),
    "S4": Promise(
        "Names of runs, presets and files lead nowhere but where they belong",
        (
            "test_cli_run:test_bad_names",
            "test_cli_show:test_nothing_outside",
            "test_runs:test_not_found",
            "test_new_run:test_names_that_no_preset",
            "test_data_faults:test_ids_do_not_lead_out",
        ),
    ),
    "S5": Promise(
        "Broken, odd or lying images and tables are named and never end a run halfway",
        ("test_data_faults:test_",),
    ),
    "S7": Promise(
        "A run is its owner's alone, whatever the umask",
        ("test_hostile_files:test_a_run_is_its_owners", "test_cli_run:test_the_folder_is_whole_and_private"),
    ),
    "D": Promise(
        "`histotui doctor --deep` finds each damage by name and never touches what is whole",
        ("test_audit:test_damage_is_found", "test_audit:test_repair_mends", "test_audit:test_a_run_at_work"),
    ),
}


@dataclass(slots=True)
class Tally:
    """How a promise was kept."""

    injected: int = 0
    survived: int = 0


def promises_of(nodeid: str) -> list[str]:
    """The promises that a test is named for, by its id such as `tests/test_disk.py::TestA::test_b[case]`."""
    file, _, name = nodeid.partition("::")
    here = f"{Path(file).stem}:{name.partition('[')[0].rpartition('::')[2]}"
    return [key for key, promise in PROMISES.items() if here.startswith(promise.tests)]


def table(tallies: Mapping[str, Tally]) -> str:
    """Markdown of all promises, in their order."""
    lines = ["| | promise | shown by | faults injected | survived |", "|---|---|---|---|---|"]
    for key, promise in PROMISES.items():
        files = ", ".join(f"`{file}`" for file in dict.fromkeys(test.partition(":")[0] for test in promise.tests))
        tally = tallies.get(key, Tally())
        lines.append(f"| {key} | {promise.words} | {files} | {tally.injected} | {tally.survived} |")
    return "\n".join(lines)


def write_table(path: Path, tallies: Mapping[str, Tally]) -> None:
    """Put the table between its marks in a Markdown file."""
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{path}: has no {BEGIN} and {END} to put the table between")
    before, _, rest = text.partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{table(tallies)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def tally(outcomes: Iterable[tuple[str, int, bool]]) -> dict[str, Tally]:
    """Faults by promise, from each test's id, how many it injected and whether it passed."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for nodeid, faults, passed in outcomes:
        for key in promises_of(nodeid):
            tallies[key].injected += faults
            tallies[key].survived += faults * passed
    return dict(tallies)


def named_tests() -> set[tuple[str, str]]:
    """File and beginning of the name of each test that a promise names."""
    pairs = (test.split(":") for promise in PROMISES.values() for test in promise.tests)
    return {(file, name) for file, name in pairs}


def defined(path: Path) -> list[str]:
    """The names of the tests in a file."""
    return re.findall(r"^\s*def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
