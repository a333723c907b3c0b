"""The user's settings, and what is remembered."""

import json
from pathlib import Path

import pytest

from engine.spec.errors import ConfigError
from histotui.preferences import Memory, Settings, State, load_settings, load_state


def test_settings_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('images = "off"\nbell = false\n[keys]\nstop = "f4"\n')
    assert load_settings(path) == Settings(images="off", bell=False, keys={"stop": "f4"})


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "config.toml") == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sound = true", "sound: unknown; there are images, theme, bell, keys"),
        ('bell = "yes"', "bell: 'yes' is not allowed here"),
        ("[keys]\nstop = 4", "keys: {'stop': 4} is not allowed here"),
        ("images = ", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_settings(path)
    assert str(path) in str(error.value) and said in str(error.value)


def test_what_is_remembered_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    Memory(path).remember(filter="auc>0.6", smoothing=0.9)
    assert load_state(path) == State(filter="auc>0.6", smoothing=0.9)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"filter": 7, "unknown": 1}', "\x00"])
def test_what_cannot_be_understood_is_forgotten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    assert load_state(path) == State()


def test_one_bad_value_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"filter": "vae", "preview": "yes"}))
    assert load_state(path) == State(filter="vae")


def test_a_disk_that_refuses_does_not_end_the_application(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    memory = Memory(blocked / "state.json")
    memory.remember(filter="vae")
    assert memory.state.filter == "vae"
