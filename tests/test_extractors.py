"""Feature spaces of one's own: what a file must be, told before hours are spent."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import CPU, toy_context, toy_patches

from engine.checkpoints import CheckpointFolder, State, prefixed
from engine.classifiers import build_classifier
from engine.preflight import answer_preflight
from engine.progress import silent
from engine.quality.extractors import check_extractor, own_space
from engine.quality.features import features_of
from engine.spec.classifier_config import CnnConfig
from engine.spec.config import DataConfig, RunConfig, TissueConfig
from engine.spec.errors import ConfigError, DataError
from engine.spec.event_log import EventReader
from engine.spec.events import Warned
from engine.spec.generator_config import VaeConfig
from engine.spec.resolve import apply, dump
from engine.stages import prepare

CONFIG = RunConfig(
    data=DataConfig(crop=16, tissue=TissueConfig(train=20, test=10, slides=4)),
    generator=VaeConfig(),
    classifier=CnnConfig(channels=2),
)


class Means(nn.Module):
    """The mean of each channel, over and over."""

    def __init__(self, times: int = 2) -> None:
        super().__init__()
        self.times = times

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).repeat(1, self.times)


class Pixels(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images


class OnePerBatch(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).mean(0, keepdim=True)


class Labels(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).argmax(1, keepdim=True)


class Undefined(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) / 0 * 0


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.mean((2, 3)), images.mean((2, 3))


class Large(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ torch.ones(3 * 32 * 32, 4)


class Halves(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.reshape(2, -1)[:, :4]


class Squeezed(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).squeeze(0)


class ByCount(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).repeat(1, 2 if len(images) == 1 else 1)


class GreyAlone(nn.Module):
    """Fails on all patches but blank ones."""

    def forward(self, images: Tensor) -> Tensor:
        assert float(images.abs().max()) == 0, "too colourful"
        return images.mean((2, 3))


def script(path: Path, module: nn.Module) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(str(path))  # type: ignore[no-untyped-call]
    return str(path)


def asking(features: str, **quality: Any) -> RunConfig:
    return apply(CONFIG, [{"quality": {"features": features, **quality}}])


def test_a_torchscript_file_is_a_space_named_for_it(tmp_path: Path) -> None:
    space = own_space(asking(script(tmp_path / "means.pt", Means())), CPU)
    assert space.name.startswith("means.pt (")
    patches = toy_patches(10)
    colour = torch.from_numpy(patches.images).double().mean((1, 2)) * 2 / 255 - 1
    assert torch.allclose(features_of(patches, space, CPU), colour.repeat(1, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Pixels, r"gives the shape \(2, 3, 16, 16\) for 2 patches; \(2, D\) is needed"),
        (OnePerBatch, r"gives the shape \(1, 3\) for 2 patches"),
        (Labels, "something else than a tensor of floating-point numbers"),
        (Pair, "something else than a tensor"),
        (Undefined, "features that are not finite"),
        (Large, "fails on 2 patches of 16 pixels"),
        (Halves, r"gives the shape \(2, 4\) for 1 patches"),
        (Squeezed, r"gives the shape \(3,\) for 1 patches"),
        (ByCount, "gives 3 features in one batch and 6 in another"),
    ],
)
def test_features_of_the_wrong_size_or_kind_are_refused(
    tmp_path: Path, module: Callable[[], nn.Module], words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"quality.features own.ts \(\w+\): .*{words}"):
        check_extractor(asking(script(tmp_path / "own.ts", module())), CPU)


def test_what_fails_on_real_patches_alone_is_told_by_name(tmp_path: Path) -> None:
    space = own_space(asking(script(tmp_path / "own.pt", GreyAlone())), CPU)
    with pytest.raises(DataError, match=r"own.pt \(\w+\): fails on 10 patches of 16 pixels \(.*too colourful"):
        features_of(toy_patches(10), space, CPU)


def test_files_that_are_no_extractors_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"quality.features .*none.pt: cannot be read \(No such file"):
        check_extractor(asking(str(tmp_path / "none.pt")), CPU)
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory"):
        (tmp_path / "folder.pt").mkdir()
        check_extractor(asking(str(tmp_path / "folder.pt")), CPU)
    for content in (b"", b"no archive", b"PK\x03\x04"):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(ConfigError, match=r"bad.pt: not a TorchScript file"):
            check_extractor(asking(str(tmp_path / "bad.pt")), CPU)
    torch.save({"weight": torch.zeros(2)}, tmp_path / "pickle.pt")
    with pytest.raises(ConfigError, match=r"pickle.pt: not a TorchScript file"):
        check_extractor(asking(str(tmp_path / "pickle.pt")), CPU)
    with pytest.raises(ConfigError, match=r"net.onnx: a file ending in .pt, .ts, .safetensors is needed"):
        check_extractor(asking(str(tmp_path / "net.onnx")), CPU)


def test_a_classifier_of_an_earlier_run_is_a_space(tmp_path: Path) -> None:
    weights = saved_classifier(tmp_path / "earlier", CONFIG)
    space = own_space(asking(str(weights)), CPU)
    assert space.name.startswith("cnn of earlier state.safetensors (")
    model = build_classifier(CONFIG.classifier, 16)
    model.load_state_dict(torch.load(tmp_path / "earlier" / "plain.pt", weights_only=True))
    images = torch.rand(3, 3, 16, 16)
    assert torch.equal(space.features(images), model.features(images))


def saved_classifier(folder: Path, config: RunConfig) -> Path:
    found = toy_context(folder, config)
    found.folder.config.write_text(json.dumps(dump(config)))
    weights = build_classifier(config.classifier, config.data.crop).state_dict()
    torch.save(weights, folder / "plain.pt")
    checkpoints = CheckpointFolder(found.folder.checkpoints / "classifier")
    return checkpoints.save_final(State(prefixed("model", weights), {})) / "state.safetensors"


def test_weights_without_their_network_or_of_another_are_refused(tmp_path: Path) -> None:
    weights = saved_classifier(tmp_path / "earlier", CONFIG)
    alone = tmp_path / "a" / "b" / "c" / "d" / "state.safetensors"
    alone.parent.mkdir(parents=True)
    alone.write_bytes(weights.read_bytes())
    with pytest.raises(ConfigError, match="weights alone say nothing of their network"):
        check_extractor(asking(str(alone)), CPU)
    wide = apply(asking(str(weights)), [{"data": {"crop": 32}}])
    with pytest.raises(ConfigError, match=r"a classifier of patches of 16 pixels, and data.crop is 32"):
        check_extractor(wide, CPU)
    other = apply(CONFIG, [{"classifier": {"channels": 4}}])
    (tmp_path / "earlier" / "config.json").write_text(json.dumps(dump(other)))
    with pytest.raises(ConfigError, match="not the classifier that earlier trains"):
        check_extractor(asking(str(weights)), CPU)
    weights.write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="not the classifier that earlier trains"):
        check_extractor(asking(str(weights)), CPU)


def test_a_file_that_nobody_asks_for_is_not_looked_at(tmp_path: Path) -> None:
    missing = asking(str(tmp_path / "none.pt"))
    assert check_extractor(apply(missing, [{"quality": {"enabled": False}}]), CPU) == []
    real = apply(missing, [{"generator": None, "classifier": {"train_on": "real"}}])
    assert check_extractor(real, CPU) == []


def test_the_run_refuses_at_its_start_and_the_forecast_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = asking(script(tmp_path / "own.pt", Pixels()))
    with pytest.raises(ConfigError, match=r"quality.features own.pt"):
        prepare.run(toy_context(tmp_path / "run", config))
    assert not (tmp_path / "cache").exists(), "before anything is packed"
    with pytest.raises(ConfigError, match=r"quality.features own.pt"):
        answer_preflight({"config": dump(config)}, silent)


def test_more_features_than_patches_are_cautioned_against(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = asking(script(tmp_path / "own.pt", Means(10)), patches=30)
    (caution,) = check_extractor(config, CPU)
    assert "gives 30 features" in caution and "set quality.patches to 31" in caution
    assert check_extractor(apply(config, [{"quality": {"patches": 31}}]), CPU) == []
    found = toy_context(tmp_path / "run", config)
    prepare.run(found)
    assert caution in [event.message for event in EventReader(found.folder.events).read() if isinstance(event, Warned)]
    assert caution in answer_preflight({"config": dump(config)}, silent)["warnings"]
