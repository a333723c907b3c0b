"""What each part of the program imports, seen in a fresh interpreter."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WITH_NUMPY = {"decimation.py", "lines.py", "plot.py", "traces.py"}
"""Curves are thinned as arrays; nothing else of the application needs them."""
HEAVY = {"torch", "numpy", "pandas", "sklearn", "scipy", "textual", "rich", "pydantic", "PIL", "h5py"}

PROBE = """
import sys
sys.argv = ["histotui", *sys.argv[1:]]
from histotui.cli import main
main(sys.argv[1:])
print("\\n@", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def modules_after(arguments: list[str], folder: Path) -> set[str]:
    command = [sys.executable, "-c", PROBE, *arguments]
    said = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT), "HISTOTUI_RUNS": str(folder)}, capture_output=True, text=True, check=True
    )
    return set(said.stderr.rpartition("@")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["ls", "--json"], ["ls"], ["rm", "-h"], ["stop", "-h"], []], ids=str)
def test_cheap_commands_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    assert modules_after(arguments, tmp_path) & HEAVY == set()


def test_listing_a_run_imports_nothing_heavy(tmp_path: Path) -> None:
    run = tmp_path / "20251123-154501-vae-500-a1b2"
    run.mkdir()
    (run / "config.json").write_text('{"preset": "vae-500"}')
    events = ({"type": "run_started", "device": "cpu"}, {"type": "run_finished", "seconds": 1.0})
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert modules_after(["ls", "--json"], tmp_path) & HEAVY == set()


def test_presets_need_pydantic_and_no_more(tmp_path: Path) -> None:
    assert modules_after(["presets"], tmp_path) & HEAVY == {"pydantic"}


def modules_of(imports: str) -> set[str]:
    probe = f"import sys\n{imports}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", probe]
    said = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_the_home_screen_needs_neither_arrays_nor_models() -> None:
    assert modules_of("import histotui.app, histotui.screens.runs") & HEAVY == {"textual", "rich"}


def test_no_screen_imports_what_belongs_to_the_engine() -> None:
    screens = ", ".join(f"histotui.screens.{path.stem}" for path in (ROOT / "histotui" / "screens").glob("[a-z]*.py"))
    assert not modules_of(f"import histotui.app, {screens}") & {"torch", "pandas", "sklearn", "scipy", "matplotlib"}


@pytest.mark.parametrize("path", sorted((ROOT / "histotui").rglob("*.py")), ids=lambda path: path.name)
def test_of_the_engine_only_the_contract_is_imported(path: Path) -> None:
    of_engine = {name for name in imported(path) if name.partition(".")[0] == "engine"}
    assert all(name == "engine.spec" or name.startswith("engine.spec.") for name in of_engine)
    roots = {name.partition(".")[0] for name in imported(path)}
    assert not roots & {"torch", "scipy", "sklearn"}
    assert "numpy" not in roots or path.name in WITH_NUMPY


@pytest.mark.parametrize("path", sorted((ROOT / "engine").rglob("*.py")), ids=lambda path: path.name)
def test_the_engine_knows_nothing_of_terminals(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imported(path)}
    assert not roots & {"histotui", "textual", "typer", "rich"}


@pytest.mark.parametrize("path", sorted((ROOT / "engine" / "spec").rglob("*.py")), ids=lambda path: path.name)
def test_the_contract_needs_pydantic_alone(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imported(path) if not name.startswith("engine.spec")}
    assert roots <= {"pydantic", "pydantic_core", *sys.stdlib_module_names}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} if node.module != "engine" else {f"engine.{alias.name}" for alias in node.names}
    return names
