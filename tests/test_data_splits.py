"""Who trains and who tests: by the source, by slide or by hash, and never on both sides."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from data_samples import Images, Labels, patches, write_folders, write_kaggle, write_table

from engine.data.grouping import held_out, side_by_hash
from engine.data.pack import Pack
from engine.data.packing import pack
from engine.data.patches import PatchSet
from engine.data.splits import Division, divide
from engine.spec.config import DataConfig
from engine.spec.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def config(folder: Path, **settings: object) -> DataConfig:
    return DataConfig.model_validate({"source": str(folder), "crop": 16, **settings})


def folders(root: Path, name: str, **splits: tuple[Images, Labels]) -> DataConfig:
    write_folders(root / name, splits)
    return config(root / name)


def names(packed: Pack, rows: np.ndarray) -> set[str]:
    return set(packed.names(rows))


def small(count: int, seed: int = 0) -> tuple[Images, Labels]:
    return patches(count, seed, side=16)


def test_official_splits_are_kept(root: Path) -> None:
    settings = folders(root, "f", train=small(8), valid=small(4, 1), test=small(6, 2))
    division = divide(pack(settings), settings)
    assert division.how == "official" and not division.warnings
    assert [len(rows) for rows in (division.train, division.valid, division.test)] == [8, 4, 6]
    assert division.train.dtype == np.int64 and division.groups.dtype == np.uint64


def test_hash_side_of_a_patch_does_not_depend_on_the_others(root: Path) -> None:
    images, labels = small(400)
    write_folders(root / "all", {"": (images, labels)})
    write_folders(root / "few", {"": (images[:200], labels[:200])})
    whole, part = config(root / "all"), config(root / "few")
    tested = names(pack(whole), divide(pack(whole), whole).test)
    again = names(pack(part), divide(pack(part), part).test)
    assert again == {name for name in tested if int(name[2:6]) < 200}
    assert 0.18 < len(tested) / 400 < 0.32
    assert "one slide may be in training and in test" in divide(pack(whole), whole).warnings[0]


def test_test_fraction_is_kept_to(root: Path) -> None:
    settings = folders(root, "f", **{"": small(600)})
    for fraction in (0.1, 0.5):
        division = divide(pack(settings), settings.model_copy(update={"test_fraction": fraction}))
        assert abs(len(division.test) / 600 - fraction) < 0.06


def test_without_a_test_split_validation_stays_what_it_is(root: Path) -> None:
    settings = folders(root, "f", train=small(60), valid=small(8, 1))
    packed = pack(settings)
    division = divide(packed, settings)
    assert division.how == "hash" and all(name.startswith("valid/") for name in names(packed, division.valid))
    assert len(division.valid) == 8 and len(division.train) + len(division.test) == 60 and len(division.test) > 5


def test_slides_stay_whole(root: Path) -> None:
    ids = write_kaggle(root / "k", *patches(60))
    write_table(root / "s.csv", ["id", "wsi"], [(name, f"slide {k % 10}") for k, name in enumerate(ids)])
    settings = config(root / "k", slides=str(root / "s.csv"))
    packed = pack(settings)
    division = divide(packed, config(root / "k", slides=str(root / "s.csv")))
    assert division.how == "slide" and not division.warnings
    assert not set(packed.slides[division.train]) & set(packed.slides[division.test])
    assert len(set(division.groups.tolist())) == 10
    by_hash = divide(packed, settings.model_copy(update={"split": "hash"}))
    assert by_hash.how == "hash" and set(packed.slides[by_hash.train]) & set(packed.slides[by_hash.test])


def test_patches_of_unknown_slides_are_counted(root: Path) -> None:
    ids = write_kaggle(root / "k", *patches(40))
    write_table(root / "s.csv", ["id", "wsi"], [(name, f"slide {k % 8}") for k, name in enumerate(ids[:35])])
    settings = config(root / "k", slides=str(root / "s.csv"))
    assert divide(pack(settings), settings).warnings[0].startswith("the slide of 5 patches is not known")


@pytest.mark.parametrize(("split", "message"), [("official", "no test split"), ("slide", "no slides are known")])
def test_a_split_that_cannot_be_had_names_the_setting(root: Path, split: str, message: str) -> None:
    settings = folders(root, "f", **{"": small(8)}).model_copy(update={"split": split})
    with pytest.raises(ConfigError, match=rf"data.split: .*{message}"):
        divide(pack(settings), settings)


@pytest.mark.parametrize(("other", "said"), [("s1", "2 of 4 test patches are of slides that training"), ("s3", "")])
def test_a_slide_on_both_sides_of_a_split_of_the_sources_own_is_said(root: Path, other: str, said: str) -> None:
    source = folders(root, "own", train=small(4, seed=1), test=small(4, seed=2))
    ids = sorted(str(path.relative_to(root / "own")) for path in root.rglob("*.png"))
    slides = {name: "s1" if name.startswith("train") else "s2" for name in ids}
    tested = [name for name in ids if name.startswith("test")]
    slides |= dict.fromkeys(tested[:2], other)
    (root / "slides.csv").write_text("id,wsi\n" + "".join(f"{name},{slide}\n" for name, slide in slides.items()))
    settings = source.model_copy(update={"slides": str(root / "slides.csv")})
    division = divide(pack(settings), settings)
    assert division.how == "official"
    assert " ".join(division.warnings).startswith(said) and bool(division.warnings) == bool(said)
    without = divide(pack(source), source)
    assert without.fingerprint == division.fingerprint and without.grouping != division.grouping


def test_what_is_in_test_is_never_in_training_or_validation(root: Path) -> None:
    train, valid, test = small(10), small(6, 1), small(6, 2)
    train[0][3], train[0][5], valid[0][2] = test[0][1], test[0][1], test[0][4]
    train[0][7] = valid[0][5]
    settings = folders(root, "f", train=train, valid=valid, test=test)
    packed = pack(settings)
    division = divide(packed, settings)
    assert len(division.test) == 6
    assert names(packed, division.valid) == {f"valid/{k % 2}/{k:04d}.png" for k in (0, 1, 3, 4, 5)}
    assert names(packed, division.train) == {f"train/{k % 2}/{k:04d}.png" for k in (0, 1, 2, 4, 6, 8, 9)}
    assert [warning.split(" patches")[0] for warning in division.warnings] == ["3", "1"]


def test_repeats_are_kept_or_dropped_as_configured(root: Path) -> None:
    images, labels = small(12)
    images[5] = images[9] = images[3]
    settings = folders(root, "f", train=(images, labels), test=small(4, 1))
    packed = pack(settings)
    assert len(divide(packed, settings).train) == 12
    dropped = divide(packed, settings.model_copy(update={"duplicates": "drop"}))
    gone = names(packed, divide(packed, settings).train) - names(packed, dropped.train)
    assert gone == {"train/1/0005.png", "train/1/0009.png"}
    assert dropped.warnings == ("2 patches were left out because they repeat another of their split",)


def test_conflicting_labels_are_warned_of(root: Path) -> None:
    images, labels = small(10)
    images[4] = images[7]
    settings = folders(root, "f", train=(images, labels), test=small(4, 1))
    assert divide(pack(settings), settings).warnings == (
        "1 patches occur with both labels; they teach nothing, and are kept",
    )


def test_repeats_never_cross_a_hash_split(root: Path) -> None:
    images, labels = small(80)
    settings = folders(root, "f", **{"": (np.concatenate([images, images]), np.concatenate([labels, labels]))})
    packed = pack(settings)
    division = divide(packed, settings)
    sides = [{row.tobytes() for row in packed.sha1[rows]} for rows in (division.train, division.test)]
    assert not sides[0] & sides[1] and len(division.train) + len(division.test) == 160


def test_limit_keeps_classes_in_proportion_and_is_stable(root: Path) -> None:
    images, _ = small(200)
    labels = (np.arange(200) % 4 == 0).astype(np.uint8)
    settings = folders(root, "f", train=(images, labels), test=small(60, 1))
    packed = pack(settings)
    limited = divide(packed, settings.model_copy(update={"limit": 40}))
    assert len(limited.train) == 40 and packed.labels[limited.train].sum() == 10
    assert len(limited.test) == 10 and packed.labels[limited.test].sum() == 5
    fewer = divide(packed, settings.model_copy(update={"limit": 20}))
    assert set(fewer.train) < set(limited.train)
    least = divide(packed, settings.model_copy(update={"limit": 2}))
    assert packed.labels[least.train].tolist() == [0, 1] and packed.labels[least.test].tolist() == [0, 1]


def test_limit_picks_the_same_patches_whatever_their_names(root: Path) -> None:
    images, labels = small(60)
    picked = []
    for name, turn in (("forth", 1), ("back", -1)):
        settings = folders(root, name, train=(images[::turn], labels[::turn]), test=small(8, 1))
        packed = pack(settings)
        rows = divide(packed, settings.model_copy(update={"limit": 12})).train
        picked.append({row.tobytes() for row in packed.sha1[rows]})
    assert picked[0] == picked[1] and len(picked[0]) == 12


def shared(packed: Pack, settings: DataConfig, **shares: float) -> Division:
    return divide(packed, settings.model_copy(update=shares))


def test_a_share_keeps_the_ratio_and_leaves_test_and_validation_alone(root: Path) -> None:
    images, _ = small(200)
    labels = (np.arange(200) % 4 == 0).astype(np.uint8)
    settings = folders(root, "f", train=(images, labels), valid=small(20, 2), test=small(60, 1))
    packed = pack(settings)
    whole, part = divide(packed, settings), shared(packed, settings, train_share=0.3)
    assert (len(part.train), packed.labels[part.train].sum()) == (60, 15)
    assert np.array_equal(part.test, whole.test) and np.array_equal(part.valid, whole.valid)
    assert part.fingerprint != whole.fingerprint
    assert sorted(part.train) == part.train.tolist()
    fewer_tumours = shared(packed, settings, train_share=0.5, tumour_share=0.2)
    assert (len(fewer_tumours.train), packed.labels[fewer_tumours.train].sum()) == (75 + 5, 5)


def test_what_a_smaller_share_keeps_is_in_every_larger_one(root: Path) -> None:
    settings = folders(root, "f", train=small(200), test=small(8, 1))
    packed = pack(settings)
    kept = [set(shared(packed, settings, train_share=share).train) for share in (0.02, 0.1, 0.11, 0.5, 1.0)]
    assert all(smaller < larger for smaller, larger in pairwise(kept))
    balanced = shared(packed, settings, train_share=0.5).train
    scarce = shared(packed, settings, train_share=0.5, tumour_share=0.1).train
    assert set(scarce) < set(balanced) and set(balanced) - set(scarce) <= set(np.flatnonzero(packed.labels))
    other = set(shared(packed, settings, train_share=0.1, share_seed=1).train)
    assert len(other) == 20 and other != kept[1]


def test_a_share_is_of_patches_from_all_slides_and_keeps_repeats_together(root: Path) -> None:
    images, labels = small(40)
    images, labels = np.concatenate([images, images]), np.concatenate([labels, labels])
    settings = folders(root, "f", train=(images, labels), test=small(8, 1))
    packed = pack(settings)
    kept = packed.sha1[shared(packed, settings, train_share=0.5).train]
    assert len(kept) == 40 and len(np.unique(kept, axis=0)) == 20


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"train_share": 0.02}, "data.train_share 0.02: 3 of 150 normal and 1 of 50 tumour"),
        ({"tumour_share": 0.01}, "data.train_share 1 and data.tumour_share 0.01: 150 of 150 normal and 0 of 50 tumour"),
    ],
)
def test_a_share_that_leaves_too_few_of_a_class_is_refused(root: Path, shares: dict[str, float], said: str) -> None:
    images, _ = small(200)
    labels = (np.arange(200) % 4 == 0).astype(np.uint8)
    settings = folders(root, "f", train=(images, labels), test=small(8, 1))
    with pytest.raises(ConfigError, match=said):
        shared(pack(settings), settings, **shares)
    assert len(shared(pack(settings), settings, train_share=0.04).train) == 6 + 2


def test_one_class_only_is_an_error(root: Path) -> None:
    images, _ = small(8)
    ones, both = (images, np.ones(8, np.uint8)), small(8, 1)
    for splits, use in (({"train": ones, "test": both}, "training"), ({"train": both, "test": ones}, "test")):
        settings = folders(root, use, **splits)
        with pytest.raises(DataError, match=f"only tumour patches are left for {use}"):
            divide(pack(settings), settings)
    settings = folders(root, "unsplit", **{"": ones})
    with pytest.raises(DataError, match="both classes are needed"):
        divide(pack(settings), settings)


def test_fingerprint_is_of_the_patches_and_their_use(root: Path) -> None:
    one = folders(root, "a", train=small(8), test=small(6, 1))
    two = folders(root, "b", train=small(8), test=small(6, 1))
    marks = [divide(pack(settings), settings).fingerprint for settings in (one, two)]
    assert marks[0] == marks[1] != divide(pack(one), one.model_copy(update={"limit": 4})).fingerprint


def plain_set(labels: list[int]) -> PatchSet:
    count = len(labels)
    return PatchSet(np.zeros((count, 4, 4, 3), np.uint8), np.array(labels, np.uint8), np.arange(count))


def test_held_out_keeps_groups_whole_and_depends_on_the_seed() -> None:
    patches = plain_set([0, 1] * 200)
    groups = np.random.default_rng(0).integers(0, 2**63, 40).astype(np.uint64)[np.arange(400) // 10]
    fit, validation = held_out(patches, groups, 0.25, 0)
    assert len(fit) + len(validation) == 400 and not set(fit.rows) & set(validation.rows)
    assert not set(groups[fit.rows]) & set(groups[validation.rows])
    assert 50 <= len(validation) <= 150
    assert np.array_equal(held_out(patches, groups, 0.25, 0)[1].rows, validation.rows)
    assert not np.array_equal(held_out(patches, groups, 0.25, 1)[1].rows, validation.rows)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1, 1]])
@pytest.mark.parametrize("seed", range(10))
def test_held_out_gives_tiny_sets_both_classes_on_both_sides(labels: list[int], seed: int) -> None:
    one_slide = np.zeros(len(labels), np.uint64)
    for groups in (np.arange(len(labels), dtype=np.uint64), one_slide):
        fit, validation = held_out(plain_set(labels), groups, 0.25, seed)
        assert set(fit.own_labels) == {0, 1} == set(validation.own_labels)
        assert len(fit) + len(validation) == len(labels)


def test_a_class_with_one_patch_cannot_be_on_both_sides() -> None:
    groups = np.arange(6, dtype=np.uint64)
    fit, validation = held_out(plain_set([0, 0, 0, 0, 0, 1]), groups, 0.25, 0)
    assert len(fit) + len(validation) == 6


def test_few_large_groups_do_not_all_go_to_one_side() -> None:
    labels = np.tile(np.array([0, 1], np.uint8), 50)
    for salt in range(30):
        chosen = side_by_hash((np.arange(100) // 20).astype(np.uint64), labels, 0.25, salt)
        assert 0.2 <= chosen.mean() <= 0.4
