"""A form's fields come from the models alone, and what is typed comes to a config or to errors beside fields."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import Field
from pydantic.fields import FieldInfo
from textual.app import App, ComposeResult
from textual.widgets import Static

from engine.spec import config as spec
from engine.spec.classifier_config import ResnetConfig
from engine.spec.config import RunConfig
from engine.spec.generator_config import VaeConfig
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, dump, kinds
from histotui.form_fields import (
    FormField,
    Reading,
    form_fields,
    parse,
    read,
    sections,
    texts_of,
    with_kind,
)
from histotui.widgets.config_form import ConfigForm

PARTS = ("data", "generator", "synthesis", "classifier", "evaluation", "quality", "training", "monitoring")


def fields_of(config: RunConfig) -> dict[str, FormField]:
    return {entry.path: entry for entry in form_fields(dump(config))}


def typed(config: RunConfig, **texts: str) -> Reading:
    """What the form comes to with these texts, `_` standing for a dot in their paths."""
    tree = dump(config)
    fields = form_fields(tree)
    given = {path.replace("__", "."): text for path, text in texts.items()}
    return read(tree, fields, {**texts_of(tree, fields), **given})


@pytest.mark.parametrize("name", PRESETS)
def test_an_untouched_form_reads_back_as_its_config(name: str) -> None:
    assert typed(PRESETS[name].config) == Reading(PRESETS[name].config)


def test_every_setting_has_a_field_but_the_preset_and_the_constants() -> None:
    config = PRESETS["gan-bce"].config
    paths = set(fields_of(config))
    tree = dump(config)
    wanted = {f"{section}.{name}" for section in PARTS for name in tree[section]}
    wanted = (wanted - {"data.tissue"}) | {f"data.tissue.{name}" for name in tree["data"]["tissue"]}
    assert paths == wanted | {"seed", "device"}


def test_sections_are_the_config_s_parts() -> None:
    assert sections() == (*PARTS, "run")
    found = [entry.section for entry in form_fields(dump(PRESETS["vae-100"].config))]
    assert tuple(dict.fromkeys(found)) == sections()


@pytest.mark.parametrize(
    ("path", "kind", "optional", "hint"),
    [
        ("generator.latent_dim", "int", False, "Dimensions of the latent z. 1 to 65,536."),
        ("generator.learning_rate", "float", False, "Adam's step size. Above 0 to 1."),
        ("generator.beta1", "float", False, "Adam's decay of the first moment. 0 to below 1."),
        ("data.crop", "int", False, "Side in pixels of the centre crop. 16 to 512, in steps of 16."),
        ("data.duplicates", "choice", False, None),
        ("classifier.flips", "bool", False, "Augment with the eight flips and quarter turns."),
        ("training.threads", "int", True, "CPU threads; all cores when not set. 1 to 1,024. Empty for none."),
        ("training.log_every", "int", False, "Steps between metrics. 1 or more."),
        ("data.slides", "text", True, None),
        ("device", "text", False, "auto, cpu, cuda or cuda:N."),
    ],
)
def test_a_field_is_what_its_annotation_and_bounds_say(path: str, kind: str, optional: bool, hint: str | None) -> None:
    entry = fields_of(PRESETS["vae-100"].config)[path]
    assert (entry.kind, entry.optional) == (kind, optional)
    assert hint is None or entry.hint == hint


def test_choices_are_the_model_s() -> None:
    fields = fields_of(PRESETS["baseline"].config)
    assert fields["data.split"].choices == ("auto", "official", "slide", "hash")
    assert fields["generator.kind"].choices == ("none", *kinds()["generator"])


def test_without_a_generator_there_is_nothing_of_it_but_its_kind() -> None:
    fields = fields_of(PRESETS["baseline"].config)
    assert [path for path in fields if path.startswith("generator.")] == ["generator.kind"]


def test_an_earlier_run_s_patches_can_be_asked_for_without_a_generator() -> None:
    baseline = PRESETS["baseline"].config
    entry = fields_of(baseline)["synthesis.source"]
    assert (entry.kind, entry.optional) == ("text", True) and entry.hint.endswith("Empty for none.")
    config = typed(baseline, synthesis__source="pilot", classifier__train_on="both").config
    assert config is not None and (config.synthesis.source, config.classifier.train_on) == ("pilot", "both")
    (said,) = typed(PRESETS["vae-100"].config, synthesis__source="pilot").general
    assert "generator and synthesis.source are both set" in said


def test_another_kind_brings_its_fields_and_keeps_what_both_have() -> None:
    tree = dump(apply(PRESETS["vae-500"].config, [{"generator": {"epochs": 7}}]))
    swapped = with_kind(tree, "generator.kind", "gan")
    names = [entry.name for entry in form_fields(swapped) if entry.section == "generator"]
    assert "embedding_dim" in names and "kl_weight" not in names
    generator = read(swapped, form_fields(swapped), {}).config
    assert generator is not None and generator.generator is not None
    assert (generator.generator.kind, generator.generator.latent_dim, generator.generator.epochs) == ("gan", 500, 7)
    assert with_kind(tree, "generator.kind", "none")["generator"] is None


def test_another_classifier_brings_its_fields_and_keeps_what_was_set() -> None:
    tree = dump(apply(PRESETS["baseline"].config, [{"classifier": {"epochs": 7, "validation": "official"}}]))
    swapped = with_kind(tree, "classifier.kind", "resnet")
    fields = form_fields(swapped)
    names = [entry.name for entry in fields if entry.section == "classifier"]
    assert names[0] == "kind" and {"blocks", "stain_jitter", "weight_decay"} < set(names)
    wanted = ResnetConfig(train_on="real", epochs=7, validation="official")
    reading = read(swapped, fields, texts_of(swapped, fields))
    assert reading.config is not None and reading.config.classifier == wanted
    back = with_kind(swapped, "classifier.kind", "cnn")
    assert back == tree
    bad = read(swapped, fields, {**texts_of(swapped, fields), "classifier.blocks": "0"})
    assert bad.errors == {"classifier.blocks": "0 is not allowed; it should be greater than or equal to 1"}


def test_a_classifier_s_kind_is_a_choice_without_none_and_decides_what_is_on_the_screen() -> None:
    entry = fields_of(PRESETS["baseline"].config)["classifier.kind"]
    assert (entry.kind, entry.optional, entry.choices) == ("choice", False, ("cnn", "resnet"))
    assert "stain_jitter" in shown_labels(PRESETS["baseline-resnet"].config, "classifier")
    assert "stain_jitter" not in shown_labels(PRESETS["baseline"].config, "classifier")
    hints = [fields_of(PRESETS[name].config)["classifier.channels"].hint for name in ("baseline", "baseline-resnet")]
    assert hints[0] != hints[1]


@pytest.mark.parametrize(
    ("texts", "errors"),
    [
        (
            {"generator__latent_dim": "0"},
            {"generator.latent_dim": "0 is not allowed; it should be greater than or equal to 1"},
        ),
        (
            {"generator__latent_dim": "ten"},
            {"generator.latent_dim": '"ten" is not allowed; it should be a valid integer'},
        ),
        ({"generator__latent_dim": ""}, {"generator.latent_dim": '"" is not allowed; it should be a valid integer'}),
        ({"generator__latent_dim": "1.5"}, {"generator.latent_dim": None}),
        ({"generator__beta1": "nan"}, {"generator.beta1": '"nan" is not allowed; it should be a valid number'}),
        ({"device": "gpu", "seed": "-1"}, {"device": None, "seed": None}),
    ],
)
def test_what_is_wrong_is_said_of_its_field(texts: dict[str, str], errors: dict[str, str | None]) -> None:
    reading = typed(PRESETS["vae-100"].config, **texts)
    assert reading.config is None and not reading.general
    assert reading.errors.keys() == errors.keys()
    assert all(said is None or reading.errors[path] == said for path, said in errors.items())


def test_what_is_wrong_between_fields_is_said_of_the_whole() -> None:
    reading = typed(PRESETS["gan-bce"].config, generator__gradient_penalty="10")
    assert reading.config is None and not reading.errors
    assert "set generator.discriminator_norm to 'none'" in reading.general[0]


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("training.threads", "", None),
        ("training.threads", " 4 ", 4),
        ("generator.learning_rate", "1e-3", 0.001),
        ("generator.learning_rate", ".5", 0.5),
        ("classifier.flips", "yes", True),
        ("data.slides", "", None),
        ("data.source", "123", "123"),
    ],
)
def test_texts_are_values(path: str, text: str, value: Any) -> None:
    assert parse(fields_of(PRESETS["vae-100"].config)[path], text) == value


def test_none_is_a_choice_where_the_model_has_one_of_that_name() -> None:
    config = typed(PRESETS["gan-bce"].config, generator__discriminator_norm="none").config
    assert config is not None and dump(config)["generator"]["discriminator_norm"] == "none"


def test_numbers_are_written_as_people_write_them() -> None:
    tree = dump(PRESETS["gan-bce"].config)
    texts = texts_of(tree, form_fields(tree))
    assert (texts["generator.generator_learning_rate"], texts["training.checkpoint_seconds"]) == ("0.00005", "120")


@pytest.fixture
def wider_model() -> Iterator[None]:
    """A generator's config model with a field more, as somebody who adds one would leave it."""
    added = Field(3, ge=1, le=9, description="Residual blocks at each level.")
    assert isinstance(added, FieldInfo)
    added.annotation = int
    kept = dict(VaeConfig.model_fields)
    VaeConfig.__pydantic_fields__["blocks"] = added
    _rebuild()
    yield
    VaeConfig.__pydantic_fields__.clear()
    VaeConfig.__pydantic_fields__.update(kept)
    _rebuild()


def _rebuild() -> None:
    for model in (VaeConfig, spec.RunConfig):
        model.model_rebuild(force=True)


class Form(App[None]):
    """A form and nothing else."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.form = ConfigForm(config)

    def compose(self) -> ComposeResult:
        yield self.form


def shown_labels(config: RunConfig, part: str = "generator") -> list[str]:
    """The names of a part's fields in the form on the screen."""
    app = Form(config)

    async def labels() -> list[str]:
        async with app.run_test():
            section = app.form.query_one(f"#section-{part}")
            return [str(label.render()) for label in section.query(".label").results(Static)]

    return asyncio.run(labels())


def test_a_field_added_to_a_generator_is_in_the_form(wider_model: None) -> None:
    tree = dump(RunConfig()) | {"generator": {"kind": "vae"}}
    tree = with_kind(tree, "generator.kind", "vae")
    entry = {entry.path: entry for entry in form_fields(tree)}["generator.blocks"]
    assert (entry.kind, entry.hint) == ("int", "Residual blocks at each level. 1 to 9.")
    texts = texts_of(tree, form_fields(tree))
    assert texts["generator.blocks"] == "3"
    good = read(tree, form_fields(tree), {**texts, "generator.blocks": "5"})
    assert good.config is not None and dump(good.config)["generator"]["blocks"] == 5
    assert shown_labels(good.config)[-1] == "blocks"
    bad = read(tree, form_fields(tree), {**texts, "generator.blocks": "10"})
    assert bad.errors == {"generator.blocks": "10 is not allowed; it should be less than or equal to 9"}
