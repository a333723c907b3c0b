"""The ceiling of an autoencoder: what it makes of training patches in the place of samples, and what is said of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import CPU, toy_patches

from engine.batches import to_bytes, to_float
from engine.borrowing import open_earlier
from engine.context import Context
from engine.control import StopFlag
from engine.data.packing import pack
from engine.generators import build_generator
from engine.generators.base import Generator
from engine.generators.vae import Vae
from engine.pipeline import remaining, run_stages
from engine.randomness import generator as rng_at
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, DataError
from engine.spec.event_log import EventReader, EventWriter
from engine.spec.events import ImageSaved, Metrics
from engine.spec.generator_config import LatentFlowConfig, VaeConfig
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, dump, kinds
from engine.spec.run_folder import RunFolder
from engine.spec.scores import read_score_trees
from engine.stages import classifier, generator, prepare, synthesis
from histotui.runs import expected_stages

SMALL: dict[str, Any] = {
    "data": {"crop": 16, "tissue": {"train": 120, "test": 60, "slides": 4}},
    "generator": {"epochs": 1, "batch_size": 8, "latent_dim": 4, "channels": 2},
    "synthesis": {"reconstruct": True, "batch_size": 50},
    "classifier": {"epochs": 1, "batch_size": 8, "channels": 2},
    "training": {"threads": 1},
}
TINY_FLOW: dict[str, Any] = {"generator": {"latent_prior": {"epochs": 1, "batch_size": 8, "width": 8, "blocks": 1}}}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # The engine's edge sets it from the config, and these runs go past it; two processes of two threads each are slow.
    torch.set_num_threads(1)


def finished(path: Path, config: RunConfig) -> Context:
    """A run that has gone through all of its stages."""
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    folder.config.write_text(json.dumps(dump(config)))
    run = Context(folder, config, CPU, EventWriter(folder.events), StopFlag())
    run_stages(run, lambda stage: None)
    return run


def vae(side: int = 16, **settings: Any) -> Vae:
    torch.manual_seed(0)
    return Vae(VaeConfig(latent_dim=3, channels=2, **settings), side).eval()


@torch.no_grad()
def test_a_vae_reconstructs_from_a_draw_of_the_posterior() -> None:
    model, patches = vae(), toy_patches(6)
    images, labels = to_float(torch.from_numpy(patches.images)), torch.from_numpy(patches.labels.astype(np.int64))
    mu, log_var = model.encode(images, labels)
    noise = torch.randn(6, 3, generator=rng_at(4))
    expected = model.decode(mu + noise * torch.exp(0.5 * log_var), labels).clamp(-1, 1)
    assert torch.allclose(model.reconstruct(images, labels, rng_at(4)), expected)
    assert not torch.allclose(model.reconstruct(images, labels, rng_at(5)), expected)


@pytest.mark.parametrize("kind", sorted(kinds()["generator"]))
def test_a_kind_says_that_it_has_an_encoder_where_it_can_reconstruct(kind: str) -> None:
    config = kinds()["generator"][kind]()
    model = build_generator(config, 32)
    has_encoder = type(model).reconstruct is not Generator.reconstruct
    assert getattr(config, "has_encoder", False) == has_encoder
    if not has_encoder:
        with pytest.raises(ConfigError, match="this kind of generator has no encoder"):
            model.reconstruct(torch.zeros(1, 3, 32, 32), torch.zeros(1, dtype=torch.int64), rng_at(0))


@pytest.mark.parametrize(
    ("preset", "changes", "said"),
    [
        ("gan-bce", {}, "needs an encoder and there is a generator of the kind 'gan'"),
        ("null", {}, "needs an encoder and there is a generator of the kind 'null'"),
        ("baseline", {}, "needs an encoder and there is no generator"),
        ("vae-100", {"synthesis": {"ratio": 0.5}}, "set synthesis.ratio to 1"),
        ("vae-100", {"synthesis": {"classes": "equal"}}, "set synthesis.classes to 'real'"),
        ("vae-100", {"classifier": {"train_on": "both"}}, "set classifier.train_on to 'synthetic'"),
        ("vae-100", {"generator": None, "synthesis": {"source": "r"}}, "there is no generator"),
    ],
)
def test_what_cannot_be_a_ceiling_is_refused_with_the_configuration(
    preset: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        apply(PRESETS[preset].config, [{"synthesis": {"reconstruct": True}}, changes])


def test_the_set_is_each_training_patch_with_its_label_and_every_record_says_so(tmp_path: Path) -> None:
    config = apply(PRESETS["vae-100"].config, [SMALL])
    run = finished(tmp_path / "runs" / "one", config)
    train, made = prepare.load(run).train, synthesis.load(run.folder)
    model = generator.load(run)
    assert np.array_equal(made.labels, train.own_labels) and len(made) == 120
    for start in (0, 50, 100):
        rows = train.rows[start : start + 50]
        images, labels = to_float(torch.from_numpy(train.images[rows])), torch.from_numpy(train.labels[rows]).long()
        with torch.no_grad():
            again = model.reconstruct(images, labels, rng_at(config.seed, synthesis.STAGE, start))
        assert np.array_equal(made.images[start : start + 50], to_bytes(again).numpy())
    manifest = json.loads((run.folder.synthetic / "manifest.json").read_text())
    assert (manifest["patches"], manifest["count"]) == ("reconstructed", 120)
    answer, reference, fidelity, _ = read_score_trees(run.folder.scores)
    assert (answer["trained_on"], answer["selected_on"]) == ("reconstructed", "held-out reconstructed patches")
    assert (reference["trained_on"], fidelity["tested_on"]) == ("tissue", "reconstructed")
    notes = json.loads(run.folder.scores.read_text())["notes"]
    assert any("a ceiling and not a generator's result" in note for note in notes)
    captions = [event.caption for event in EventReader(run.folder.events).read() if isinstance(event, ImageSaved)]
    assert "reconstructions of training patches, normal above tumour" in captions
    # A patch and its reconstruction are held out, or fitted on, together.
    mine, theirs = (classifier.training_set(run, prepare.load(run), on) for on in ("synthetic", "real"))
    (reconstructed,), (real,) = mine.validation.parts, theirs.validation.parts
    assert np.array_equal(train.rows[reconstructed.rows], real.rows)
    assert mine.validation_word == "synthetic_validation"


def trained_here(run: Context) -> bool:
    return any(
        isinstance(event, Metrics) and event.stage == "generator" for event in EventReader(run.folder.events).read()
    )


def test_networks_trained_with_the_same_settings_are_taken_and_make_the_same_patches(tmp_path: Path) -> None:
    ceiling = apply(PRESETS["latent-flow"].config, [SMALL, TINY_FLOW])
    alone = finished(tmp_path / "alone" / "one", ceiling)
    samples = finished(tmp_path / "runs" / "one", apply(ceiling, [{"synthesis": {"reconstruct": False}}]))
    assert trained_here(alone) and trained_here(samples)
    for name, changes, taken in (
        ("same", {"generator": {"latent_prior": {"epochs": 2, "width": 16}}}, True),
        ("longer", {"generator": {"epochs": 2}}, False),
        ("other", {"seed": 1}, False),
        ("fewer", {"data": {"train_share": 0.5}}, False),
    ):
        run = finished(tmp_path / "runs" / name, apply(ceiling, [changes]))
        assert trained_here(run) is not taken, name
        again = np.array_equal(synthesis.load(run.folder).images, synthesis.load(alone.folder).images)
        assert again is taken, name


def test_reconstructions_need_no_prior(tmp_path: Path) -> None:
    small = {**SMALL, "generator": LatentFlowConfig().model_dump(mode="json")}
    config = apply(PRESETS["vae-100"].config, [small])
    stages = [stage.name for stage in remaining(RunFolder(tmp_path), config)]
    assert stages == ["prepare", "generator", "synthesis", "classifier", "reference", "evaluation", "quality"]
    assert list(expected_stages(dump(config))) == stages


def test_a_run_that_takes_reconstructions_says_so_too(tmp_path: Path) -> None:
    one = finished(tmp_path / "runs" / "one", apply(PRESETS["vae-100"].config, [SMALL]))
    lent = {"source": str(one.folder.path)}
    lending = {**SMALL, "generator": None, "synthesis": lent, "classifier": {**SMALL["classifier"], "channels": 3}}
    borrower = apply(PRESETS["vae-100"].config, [{**lending, "evaluation": {"reference": False}}])
    two = finished(tmp_path / "runs" / "two", borrower)
    answer, _ = read_score_trees(two.folder.scores)
    assert answer["trained_on"] == "reconstructed"
    # Both hold out the same slides: where one patch of a slide chooses the epoch, none is learnt from.
    fits = [classifier.training_set(run, prepare.load(run), "synthetic") for run in (one, two)]
    (held, fitted), other = ([set(side.parts[0].rows) for side in (fit.validation, fit.fit)] for fit in fits)  # type: ignore[union-attr]
    assert [held, fitted] == other
    real = prepare.load(two)
    groups = real.groups[real.train.rows]
    assert set(groups[list(held)]).isdisjoint(groups[list(fitted)])
    # Half of them are not each training patch's any more, and none knows whose it is.
    half = finished(tmp_path / "runs" / "half", apply(borrower, [{"synthesis": {"ratio": 0.5}}]))
    assert not synthesis.is_of_training_patches(half.folder, real) and synthesis.is_of_training_patches(
        two.folder, real
    )
    assert len(classifier.training_set(half, real, "synthetic").fit) < len(fits[1].fit) / 1.5
    both = apply(borrower, [{"classifier": {"train_on": "both"}}])
    with pytest.raises(ConfigError, match=r"its patches are reconstructions.*set classifier\.train_on to 'synthetic'"):
        open_earlier(both)
    with pytest.raises(DataError, match=r"reconstructions of training patches and no samples.*synthesis\.source"):
        pack(borrower.data.model_copy(update={"source": str(one.folder.path)}))
