"""The table of promises names tests that are there, and counts what they did."""

from pathlib import Path

import pytest
from promises import BEGIN, END, PROMISES, Tally, defined, named_tests, promises_of, table, tally, write_table

TESTS = Path(__file__).parent


@pytest.mark.parametrize(("file", "name"), sorted(named_tests()))
def test_every_test_that_is_named_is_there(file: str, name: str) -> None:
    assert any(each.startswith(name) for each in defined(TESTS / f"{file}.py"))


def test_tests_are_known_by_their_ids() -> None:
    assert promises_of("tests/test_writing.py::test_killed_while_a_file_is_replaced[a::b-x]") == ["R2"]
    assert promises_of("tests/test_index.py::TestX::test_a_byte_anywhere") == ["R12"]
    assert promises_of("tests/test_index.py::test_other") == []


def test_faults_are_counted_by_promise() -> None:
    nodeid = "tests/test_index.py::test_a_byte_anywhere"
    assert tally([(nodeid, 40, True), (nodeid, 2, False), ("tests/test_x.py::test_y", 1, True)]) == {
        "R12": Tally(42, 40)
    }


def test_the_table_stands_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\nwhat was there before\n{END}\nafter\n")
    write_table(path, {"R12": Tally(42, 40)})
    text = path.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| | promise") and text.endswith(f"|\n{END}\nafter\n")
    assert "| R12 |" in text and "`test_index` | 42 | 40 |" in text and "what was there before" not in text
    (tmp_path / "none.md").write_text("")
    with pytest.raises(ValueError, match=r"none\.md: has no"):
        write_table(tmp_path / "none.md", {})


def test_readme_has_every_promise_kept() -> None:
    readme = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    rows = [
        line
        for line in readme.partition(BEGIN)[2].partition(END)[0].splitlines()
        if line and not line.startswith(("| |", "|--"))
    ]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == list(PROMISES)
    for row in rows:
        injected, survived = row.strip("| ").split(" | ")[-2:]
        assert int(injected) == int(survived) > 0, row
    assert table({}).count("\n") == len(PROMISES) + 1
