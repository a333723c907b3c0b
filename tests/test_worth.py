"""What an AUC is worth in real patches: a learning curve read backwards, by hand-computed values, and its command."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from fake_engine import score
from workbench import Bench

from engine.spec.config import RunConfig
from engine.spec.events import RunFinished, RunStarted
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply
from histotui.student import STUDENT
from histotui.worth import FEWER, MORE, CurvePoint, Worth, read_backwards, rising, worth

DONE = (RunStarted(time=100.0, device="cpu"), RunFinished(time=160.0, seconds=60.0))


def curve(*points: tuple[int, float], reach: float = 0.0) -> list[CurvePoint]:
    return [CurvePoint(patches, auc, auc - reach, auc + reach) for patches, auc in points]


STRAIGHT = curve((100, 0.7), (1000, 0.8), (10_000, 0.9), reach=0.01)
"""A tenth more for ten times the patches."""


def test_a_curve_is_read_backwards_in_the_logarithm_of_the_patches() -> None:
    found = worth(0.75, 0.73, 0.77, STRAIGHT)
    assert found.patches == pytest.approx(math.sqrt(100 * 1000))
    reach = math.sqrt(0.01**2 + 0.02**2)
    assert found.low == pytest.approx(100 * 10 ** ((0.05 - reach) / 0.1))
    assert found.high == pytest.approx(100 * 10 ** ((0.05 + reach) / 0.1))
    assert str(found) == "worth 316 [189, 529] real patches"


def test_each_end_takes_the_error_that_is_on_its_side() -> None:
    lopsided = [CurvePoint(100, 0.7, 0.66, 0.7), CurvePoint(1000, 0.8, 0.76, 0.8)]
    found = worth(0.75, 0.75, 0.78, lopsided)
    assert found.low == pytest.approx(math.sqrt(100 * 1000))
    # Half widths of 0.04 and 0.03 make 0.05, by which the last point is above.
    assert found.high == pytest.approx(1000)
    found = worth(0.75, 0.72, 0.75, lopsided)
    assert found.low == pytest.approx(100 * 10**0.2) and found.high == pytest.approx(100 * 10**0.9)


@pytest.mark.parametrize(
    ("auc", "said"),
    [
        (0.5, "worth fewer than 100 [fewer than 100, fewer than 100] real patches"),
        (0.69, "worth fewer than 100 [fewer than 100, 133] real patches"),
        (0.7, "worth 100 [fewer than 100, 167] real patches"),
        (0.89, "worth 7,943 [4,747, more than 10,000] real patches"),
        (0.95, "worth more than 10,000 [more than 10,000, more than 10,000] real patches"),
    ],
)
def test_nothing_is_said_beyond_the_ends_of_the_curve(auc: float, said: str) -> None:
    assert str(worth(auc, auc - 0.02, auc + 0.02, STRAIGHT)) == said


def test_a_curve_that_falls_is_made_to_rise_first() -> None:
    wavy = curve((800, 0.9), (100, 0.7), (200, 0.8), (400, 0.76))
    found = worth(0.78, 0.78, 0.78, wavy)
    assert (found.low, found.patches, found.high) == pytest.approx((200, 200, 400))
    assert worth(0.74, 0.74, 0.74, wavy).patches == pytest.approx(100 * 2**0.5)
    assert worth(0.84, 0.84, 0.84, wavy).patches == pytest.approx(400 * 2**0.5)


def test_isotonic_regression_against_hand_values() -> None:
    assert rising([1.0, 2.0, 3.0], [1, 1, 1]) == [1, 2, 3]
    assert rising([0.7, 0.8, 0.76, 0.9], [1, 3, 1, 1]) == pytest.approx([0.7, 0.79, 0.79, 0.9])
    assert rising([3.0, 2.0, 1.0], [1, 1, 1]) == pytest.approx([2, 2, 2])
    # The second pool takes the first into itself once it is low enough.
    assert rising([0.5, 0.6, 0.3], [1, 1, 2]) == pytest.approx([0.425, 0.425, 0.425])


def test_rising_agrees_with_scikit_learn() -> None:
    import numpy as np
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(0)
    for _ in range(20):
        values, weights = rng.normal(size=12), rng.integers(1, 5, 12)
        expected = IsotonicRegression().fit_transform(np.arange(12), values, sample_weight=weights)
        assert rising(values.tolist(), weights.tolist()) == pytest.approx(expected.tolist())


def test_student_s_t_is_that_of_scipy() -> None:
    from scipy.stats import t

    assert pytest.approx([t.ppf(0.975, freedom) for freedom in range(1, 31)], abs=5e-4) == list(STUDENT)


def test_on_a_level_the_first_and_the_last_size_are_told_apart() -> None:
    assert read_backwards(0.8, [1, 10, 100, 1000], [0.7, 0.8, 0.8, 0.9]) == 10
    assert read_backwards(0.8, [1, 10, 100, 1000], [0.7, 0.8, 0.8, 0.9], last=True) == 100


@pytest.mark.parametrize("points", [[], [(100, 0.7)], [(100, 0.7), (100, 0.8)]])
def test_a_curve_needs_two_sizes(points: list[tuple[int, float]]) -> None:
    with pytest.raises(ValueError, match="two sizes or more"):
        worth(0.7, 0.6, 0.8, curve(*points))


def test_beyond_the_curve_json_has_words() -> None:
    tree = Worth(MORE, 316.2, MORE, 100, 1000).tree()
    assert tree == {"patches": "more", "low": 316.2, "high": "more", "smallest": 100, "largest": 1000}
    assert Worth(FEWER, FEWER, 130.0, 100, 1000).tree()["patches"] == "fewer"


class TestCommand:
    VAE = "20251120-120000-vae-500-aaaa"

    @pytest.fixture
    def bench(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
        bench = Bench(tmp_path, monkeypatch)
        self.write(bench, self.VAE, PRESETS["vae-500"].config, 0.75, 8000)
        return bench

    def write(self, bench: Bench, run_id: str, config: RunConfig, auc: float, patches: int, **other: Any) -> None:
        trained_on = "synthetic" if config.generator else "tissue"
        found = score(auc=auc, auc_low=auc - 0.02, auc_high=auc + 0.02, trained_on=trained_on)
        folder = bench.write(run_id, other.get("events", DONE), scores=[found], config=config)
        manifest = {"fingerprint": run_id, "test_fingerprint": other.get("tested", "t")}
        half = patches // 2
        folder.data.mkdir()
        counts = {"train": {"normal": patches - half, "tumour": half}}
        (folder.data / "manifest.json").write_text(json.dumps({**manifest, "counts": counts}))

    def real(self, bench: Bench, number: int, auc: float, patches: int, *changes: dict[str, Any], **other: Any) -> None:
        config = apply(PRESETS["baseline"].config, [{"seed": number}, *changes])
        self.write(bench, f"20251121-{120000 + number}-baseline-{number:04x}", config, auc, patches, **other)

    def test_worth_of_a_run_by_the_runs_beside_it(self, bench: Bench) -> None:
        for number, (auc, patches) in enumerate([(0.69, 100), (0.71, 100), (0.79, 1000), (0.81, 1000)]):
            self.real(bench, number, auc, patches, {"data": {"train_share": 0.1}})
        said = bench("worth", self.VAE, "--json")
        assert said.code == 0
        assert [(point["patches"], point["runs"]) for point in said.json["curve"]] == [(100, 2), (1000, 2)]
        # Two pairs, each with a sample variance of 2·0.01², and Student's 4.3027 for two degrees of freedom.
        reach = 4.303 * math.sqrt(2 * 0.01**2) / math.sqrt(2)
        assert said.json["curve"][0]["auc"] == pytest.approx(0.7)
        assert said.json["curve"][0]["high"] == pytest.approx(0.7 + reach, abs=1e-6)
        assert said.json["worth"]["patches"] == pytest.approx(316.2, abs=0.1)
        assert said.json["worth"]["low"] == pytest.approx(
            100 * 10 ** ((0.05 - math.hypot(reach, 0.02)) / 0.1), rel=1e-4
        )
        lines = bench("worth", self.VAE).out.splitlines()
        assert lines[1].startswith("worth 316 [") and lines[3].split() == [
            "REAL", "PATCHES", "RUNS", "EPOCHS", "AUC", "95", "%", "INTERVAL",
        ]  # fmt: skip
        assert lines[4].split()[:4] == ["100", "2", "100", "0.7000"]

    def test_runs_that_were_never_repeated_have_the_intervals_of_their_test_patches(self, bench: Bench) -> None:
        self.real(bench, 1, 0.7, 100)
        self.real(bench, 2, 0.8, 1000)
        said = bench("worth", self.VAE, "--json").json
        ends = [end for point in said["curve"] for end in (point["low"], point["high"])]
        assert ends == pytest.approx([0.68, 0.72, 0.78, 0.82])
        assert any("the curve's over test patches" in note for note in said["notes"])

    def test_only_like_runs_make_the_curve_and_more_epochs_win(self, bench: Bench) -> None:
        self.real(bench, 1, 0.7, 100, {"classifier": {"epochs": 200}})
        self.real(bench, 2, 0.6, 100, {"classifier": {"epochs": 20}})
        self.real(bench, 3, 0.8, 1000)
        self.real(bench, 4, 0.99, 150, {"classifier": {"flips": True}})
        self.real(bench, 5, 0.99, 160, {"data": {"crop": 32}})
        self.real(bench, 6, 0.99, 170, {"data": {"tumour_share": 0.5}})
        self.real(bench, 7, 0.99, 180, tested="others")
        self.real(bench, 8, 0.99, 190, events=DONE[:1])
        said = bench("worth", self.VAE, "--json").json
        assert [(point["patches"], point["auc"], point["epochs"]) for point in said["curve"]] == [
            (100, 0.7, 200),
            (1000, 0.8, 100),
        ]

    def test_the_newest_of_two_runs_with_the_same_seeds_counts(self, bench: Bench) -> None:
        self.real(bench, 1, 0.6, 100)
        self.real(bench, 2, 0.7, 100, {"seed": 1})
        self.real(bench, 3, 0.8, 1000)
        said = bench("worth", self.VAE, "--json").json
        assert [(point["auc"], point["runs"]) for point in said["curve"]] == [(0.7, 1), (0.8, 1)]

    def test_the_curve_can_be_made_of_some_runs_only(self, bench: Bench) -> None:
        for number, patches in enumerate((100, 300, 1000)):
            self.real(bench, number, 0.7 + 0.05 * number, patches)
        said = bench("worth", self.VAE, "--curve", "auc!=0.75", "--json")
        assert [point["patches"] for point in said.json["curve"]] == [100, 1000]

    def test_without_a_curve_it_says_how_to_make_one(self, bench: Bench) -> None:
        said = bench("worth", self.VAE)
        assert said.code == 3 and "there are none" in said.err and "data.train_share=0.1" in said.err
        self.real(bench, 1, 0.7, 100)
        said = bench("worth", self.VAE)
        assert said.code == 3 and "is one size and two are needed" in said.err

    def test_the_command_that_it_advises_has_the_runs_patches(self, bench: Bench) -> None:
        config = apply(PRESETS["vae-500"].config, [{"data": {"source": "/data/my pcam"}}])
        self.write(bench, "20251122-120000-vae-500-cccc", config, 0.75, 8000)
        said = bench("worth", "20251122-120000-vae-500-cccc")
        assert "--preset baseline --data '/data/my pcam' --set" in " ".join(said.err.split())

    def test_a_run_without_a_score_has_no_worth(self, bench: Bench) -> None:
        bench.write("20251122-120000-vae-500-bbbb", DONE[:1])
        said = bench("worth", "20251122-120000-vae-500-bbbb")
        assert said.code == 3 and "no score to read the curve with" in said.err
