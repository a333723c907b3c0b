"""Configuration: bounds, names, precedence, presets."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.spec.classifier_config import ClassifierConfig, CnnConfig, ResnetConfig
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.presets import PRESETS, all_presets, find_preset
from engine.spec.quick import quick_changes
from engine.spec.resolve import apply, differences, dump, fields, load, parse_override, steps_between, validate

STUDY = {
    # preset: latent, channels, loss, accuracy, AUC as printed in the study's Table 1
    "baseline": (None, None, 0.3576, 0.8491, 0.9225),
    "vae-100": (100, 16, 40.67, 0.5531, 0.4328),
    "vae-500": (500, 16, 26.81, 0.5496, 0.4814),
    "vae-2000": (2000, 16, 4.317, 0.5165, 0.5065),
    "vae-2000-c64": (2000, 64, 9.875, 0.5608, 0.4940),
    "vae-4000-c256": (4000, 256, None, None, None),
    "gan-bce": (2000, 16, None, None, None),
    "gan-wasserstein": (2000, 16, None, None, None),
}


def test_the_presets_are_those_of_table_1() -> None:
    assert {name for name, preset in PRESETS.items() if preset.study is not None} == set(STUDY)
    for name, (latent, channels, *results) in STUDY.items():
        preset = PRESETS[name]
        generator, study = preset.config.generator, preset.study
        assert study is not None
        found = tuple(getattr(generator, size, None) for size in ("latent_dim", "channels"))
        assert found == (latent, channels), name
        assert [study.loss, study.accuracy, study.auc] == results, name
        assert preset.config.preset == name


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_the_way_through_json(name: str) -> None:
    config = PRESETS[name].config
    assert validate(json.loads(json.dumps(dump(config)))) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generator.latent_dims=5", "generator.latent_dims: unknown; did you mean generator.latent_dim?"),
        ("generator.gradient_penalty=1", "another kind of generator has it"),
        ("generator.latent_dim=many", 'generator.latent_dim: "many" is not allowed; it should be a valid integer'),
        ("generator.latent_dim=0", "generator.latent_dim: 0 is not allowed; it should be greater than or equal to 1"),
        ("generator.latent_dim=true", "generator.latent_dim: true is not allowed"),
        ("classifier.kind=cnnn", 'classifier.kind: "cnnn" is not a classifier; one of cnn, resnet'),
        ("classifier.blocks=2", "classifier.blocks: unknown; another kind of classifier has it; set classifier.kind"),
        ("classifier.block=2", "classifier.block: unknown; did you mean classifier.blocks?"),
        ("classifier.stain_jitter=2", "another kind of classifier has it; set classifier.kind as well"),
        ("classifier=none", "classifier: null is not allowed; it should be an object"),
        ("generator.kind=gann", 'generator.kind: "gann" is not a generator; one of vae, gan'),
        ("data.crop=60", "data.crop: 60 is not allowed; it should be a multiple of 16"),
        ("data.duplicates=some", "data.duplicates: \"some\" is not allowed; it should be 'keep' or 'drop'"),
        ("classifier.learning_rate=nan", "classifier.learning_rate"),
        ("device=tpu", 'device: "tpu" is not allowed'),
        ("nothing=1", "nothing: unknown"),
        ("generator=none", "classifier.train_on is 'synthetic' and there is no generator"),
        ("generator=none", "name an earlier run in synthesis.source"),
        ("synthesis.source=@last", "set generator to 'none' to take the earlier run's patches, or synthesis.source to"),
        ('synthesis.source=""', 'synthesis.source: "" is not allowed; it should have at least 1 character'),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply(PRESETS["vae-100"].config, [parse_override(override)])
    assert message in str(caught.value)


@pytest.mark.parametrize("train_on", ["real", "synthetic", "both"])
def test_an_earlier_run_stands_in_for_a_generator(train_on: str) -> None:
    changes = [f"classifier.train_on={train_on}", "synthesis.source=runs/one"]
    config = apply(PRESETS["baseline"].config, map(parse_override, changes))
    assert (config.has_synthetic, config.synthesis.source) == (True, "runs/one")
    without = apply(config, map(parse_override, ["synthesis.source=none", "classifier.train_on=real"]))
    assert not without.has_synthetic and without == PRESETS["baseline"].config
    assert PRESETS["vae-100"].config.has_synthetic


def test_a_gradient_penalty_with_batch_normalisation_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"generator\.discriminator_norm to 'none'"):
        apply(PRESETS["gan-bce"].config, [parse_override("generator.gradient_penalty=10")])


def test_a_gradient_penalty_beside_clipped_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"set generator\.weight_clip to none or generator\.gradient_penalty to 0"):
        apply(PRESETS["gan-wasserstein"].config, [{"generator": {"gradient_penalty": 10}}])
    apply(PRESETS["gan-wasserstein"].config, [{"generator": {"gradient_penalty": 10, "weight_clip": None}}])


@pytest.mark.parametrize("text", ["generator.latent_dim", "=5", "a..b=1"])
def test_an_override_of_the_wrong_form_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ConfigError, match="write it as field=value"):
        parse_override(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("seed=3", 3),
        ("seed=3.5", 3.5),
        ("seed=none", None),
        ("seed=true", True),
        ("seed=/a b", "/a b"),
        ('seed="3"', "3"),
    ],
)
def test_override_values_are_toml_or_bare_strings(text: str, value: object) -> None:
    assert parse_override(text) == {"seed": value}


def test_later_changes_win_and_leave_the_rest() -> None:
    config = apply(
        PRESETS["vae-100"].config, [{"generator": {"latent_dim": 7, "epochs": 2}}, {"generator": {"latent_dim": 8}}]
    )
    assert differences(PRESETS["vae-100"].config, config) == [
        ("generator.epochs", 100, 2),
        ("generator.latent_dim", 100, 8),
    ]


def test_another_kind_of_generator_keeps_what_both_have() -> None:
    generator = apply(PRESETS["vae-500"].config, [parse_override("generator.kind=gan")]).generator
    assert generator is not None
    assert (generator.kind, generator.latent_dim, generator.channels) == ("gan", 500, 16)


def classifier_of(preset: str, *overrides: str) -> tuple[ClassifierConfig, ClassifierConfig]:
    """The preset's classifier with settings laid over it, in this order and in the other."""
    config = PRESETS[preset].config
    one, other = (apply(config, map(parse_override, order)) for order in (overrides, overrides[::-1]))
    return one.classifier, other.classifier


def test_another_kind_of_classifier_keeps_what_was_set_and_has_its_own_defaults() -> None:
    one, other = classifier_of(
        "vae-100", "classifier.epochs=7", "classifier.kind=resnet", "classifier.validation_fraction=0.3"
    )
    assert one == other == ResnetConfig(epochs=7, validation_fraction=0.3)
    one, other = classifier_of("baseline-resnet", "classifier.kind=cnn", "classifier.colour_jitter=0.1")
    assert one == other == CnnConfig(train_on="real", colour_jitter=0.1)


def test_what_is_asked_for_beside_a_kind_holds_though_it_is_the_other_kind_s_default() -> None:
    one, other = classifier_of("baseline", "classifier.kind=resnet", "classifier.channels=16", "classifier.flips=false")
    assert one == other == ResnetConfig(train_on="real", channels=16, flips=False)


def test_a_wrong_setting_is_not_lost_among_right_ones() -> None:
    overrides = ["generator.latent_dims=5", "generator.epochs=3", "classifier.blok=5", "classifier.kind=resnet"]
    with pytest.raises(ConfigError) as caught:
        apply(PRESETS["vae-100"].config, map(parse_override, overrides))
    assert "generator.latent_dims: unknown" in str(caught.value) and "classifier.blok: unknown" in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("classifier.kind=resnet", "classifier.blocks=0"),
            "classifier.blocks: 0 is not allowed; it should be greater",
        ),
        (("classifier.kind=resnet", "classifier.batch_size=1"), "classifier.batch_size: 1 is not allowed"),
        (("classifier.kind=resnet", "classifier.stain_jitter=0.95"), "classifier.stain_jitter: 0.95 is not allowed"),
        (("classifier.kind=resnet", "classifier.weight_decay=many"), 'classifier.weight_decay: "many" is not allowed'),
        (("classifier.kind=3",), 'classifier.kind: "3" is not a classifier; one of cnn, resnet'),
    ],
)
def test_a_classifier_s_wrong_setting_is_named(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply(PRESETS["baseline"].config, map(parse_override, overrides))
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", [{}, {"kind": "cnn"}])
def test_a_config_from_before_there_were_other_classifiers_still_loads(kind: dict[str, str], tmp_path: Path) -> None:
    classifier = {
        "epochs": 20, "batch_size": 32, **kind, "train_on": "real", "synthetic_proportion": 0.5, "channels": 8,
        "learning_rate": 0.001, "beta1": 0.5, "beta2": 0.999, "flips": True, "colour_jitter": 0.1,
        "validation": "held-out", "validation_fraction": 0.25,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(
        json.dumps({"preset": "baseline", "generator": None, "classifier": classifier})
    )
    wanted = CnnConfig(epochs=20, train_on="real", channels=8, learning_rate=0.001, flips=True, colour_jitter=0.1)
    assert load(tmp_path / "config.json").classifier == wanted


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("baseline", ["classifier.kind=resnet"]),
        ("baseline", ["classifier.kind=resnet", "classifier.flips=false", "classifier.channels=16"]),
        ("baseline-resnet", ["classifier.kind=cnn", "classifier.learning_rate=0.002"]),
        ("vae-500", ["generator.kind=gan", "generator.loss=wasserstein", "classifier.kind=resnet", "seed=3"]),
        ("vae-500", ["generator=none", "classifier.train_on=real"]),
        ("baseline", ["generator.kind=vae", "generator.latent_dim=7"]),
    ],
)
def test_the_steps_between_two_configs_lead_from_one_to_the_other(base: str, changes: list[str]) -> None:
    before = PRESETS[base].config
    after = apply(before, map(parse_override, changes))
    steps = steps_between(before, after)
    assert sorted(path for path, _ in steps) == sorted(change.partition("=")[0] for change in changes)
    assert steps_between(after, after) == []


def test_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        PRESETS["baseline"].config.seed = 1  # type: ignore[misc]


def test_every_setting_has_a_description() -> None:
    assert [path for path, description in fields() if not description and not path.endswith(".kind")] == []


def quick(config: RunConfig) -> RunConfig:
    return apply(config, [quick_changes(config)])


@pytest.mark.parametrize("name", PRESETS)
def test_quick_only_makes_counts_smaller(name: str) -> None:
    for path, before, after in differences(PRESETS[name].config, quick(PRESETS[name].config)):
        assert isinstance(after, int), path
        assert before is None or after < before, path


def test_quick_leaves_what_is_smaller_already() -> None:
    small = apply(
        PRESETS["vae-100"].config,
        [
            {"generator": {"epochs": 1}, "classifier": {"epochs": 1}, "data": {"limit": 8}},
            {"monitoring": {"patches": 32, "passes": 1}},
        ],
    )
    changed = {path for path, _, _ in differences(small, quick(small))}
    assert changed == {"data.tissue.train", "data.tissue.test"}


def test_a_user_preset_is_listed_beside_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "vae-500"\ndescription = "Wider."\n[generator]\nchannels = 24\n')
    preset = find_preset("mine", tmp_path)
    assert preset.description == "Wider."
    assert preset.config.preset == "mine"
    assert preset.config.generator is not None
    assert (preset.config.generator.channels, preset.config.generator.latent_dim) == (24, 500)
    assert set(all_presets(tmp_path)) == {*PRESETS, "mine"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[generator]\nchannel = 3\n", "did you mean generator.channels?"),
        ('base = "nothing"\n', "base 'nothing' is not a built-in preset"),
        ("base = 3\n", "base must be a string"),
        ("generator = [", "cannot be read as TOML"),
    ],
)
def test_a_broken_user_preset_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text('base = "vae-500"\n' * ("base" not in text) + text)
    with pytest.raises(ConfigError) as caught:
        find_preset("mine", tmp_path)
    assert message in str(caught.value) and "mine.toml" in str(caught.value)


def test_a_user_preset_may_not_hide_a_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "vae-100.toml").write_text("seed = 1\n")
    with pytest.raises(ConfigError, match="give the file another name"):
        all_presets(tmp_path)


def test_an_unknown_preset_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean vae-2000"):
        find_preset("vae2000", tmp_path)


def test_a_damaged_config_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"seed": 1')
    with pytest.raises(ConfigError, match=r"config\.json: not a JSON file"):
        load(path)
    path.write_text('{"sed": 1}')
    with pytest.raises(ConfigError, match=r"(?s)config\.json:.*did you mean seed"):
        load(path)


def test_defaults_alone_are_a_valid_run() -> None:
    assert validate({}) == RunConfig()
