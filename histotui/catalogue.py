"""Presets for people and for scripts."""

from dataclasses import asdict
from typing import Any

from engine.spec.presets import Preset, StudyResult, all_presets, find_preset
from engine.spec.resolve import dump, fields, flatten
from histotui import console
from histotui.form_fields import form_fields
from histotui.formats import NOTHING, number, table
from histotui.settings import KAGGLE_TEST, written

Tree = dict[str, Any]


def print_presets(as_json: bool, columns: int | None) -> None:
    """Every preset, built in or the user's own."""
    known = list(all_presets().values())
    if as_json:
        console.out_json([preset_tree(preset) for preset in known])
        return
    header = ["PRESET", "LATENT", "CHANNELS", "LOSS", "ACCURACY", "AUC"]
    for line in table(header, [_row(preset) for preset in known], columns, shrink="PRESET"):
        console.out(line)
    console.out()
    console.out_prose(f"Loss, accuracy and AUC are the study's, on {KAGGLE_TEST:,} of Kaggle's patches.", 0)
    for preset in known:
        if note := preset.study.note if preset.study else preset.description:
            console.out_prose(f"{preset.name}: {note}")


def print_preset(name: str, as_json: bool) -> None:
    """One preset with every setting and what it means."""
    preset = find_preset(name)
    if as_json:
        console.out_json(preset_tree(preset))
        return
    console.out(f"{preset.name} ({preset.origin})")
    console.out(preset.description)
    if preset.study is not None:
        console.out(f"In the study: {_study_text(preset.study)}")
    console.out()
    tree = dump(preset.config)
    # What kinds of part share may mean something else in each.
    meanings = dict(fields()) | {field.path: field.description for field in form_fields(tree)}
    for path, value in flatten(tree):
        console.out(f"{path} = {written(value)}", console.Paint(f"  # {meanings.get(path, '')}".rstrip(" #"), "2"))


def preset_tree(preset: Preset) -> Tree:
    """A preset as plain JSON types."""
    return {
        "name": preset.name,
        "description": preset.description,
        "origin": preset.origin,
        "study": asdict(preset.study) if preset.study else None,
        "config": dump(preset.config),
    }


def _row(preset: Preset) -> list[str]:
    generator, study = preset.config.generator, preset.study or StudyResult()
    size = [str(getattr(generator, name, NOTHING)) for name in ("latent_dim", "channels")]
    return [preset.name, *size, number(study.loss), number(study.accuracy), number(study.auc)]


def _study_text(study: StudyResult) -> str:
    measured = f"loss {number(study.loss)}, accuracy {number(study.accuracy)}, AUC {number(study.auc)}"
    return study.note or f"{measured} on {KAGGLE_TEST:,} of Kaggle's patches"
