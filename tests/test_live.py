"""The picture of a run on a terminal that is repainted in place."""

from histotui.live import picture
from histotui.runs import Run, Stage


def lines_of(run: Run, width: int) -> list[str]:
    return [str(line) for line in picture(run, ("generator",), "a run", width).renderables]


def test_every_value_of_the_present_stage_is_shown_on_as_many_lines_as_it_takes() -> None:
    values = {"recon": 202.3, "kl": 32.72, "grad_norm": 185.9, "diversity_tumour": 0.54, "usefulness_auc": 0.51}
    run = Run(stages={"generator": Stage("generator", values=values)}, stage="generator")
    lines = lines_of(run, 50)
    assert [line.strip() for line in lines[2:]] == [
        "recon 202.3, kl 32.72",
        "grad_norm 185.9",
        "diversity_tumour 0.5400",
        "usefulness_auc 0.5100",
    ]
    assert all(len(line) <= 50 for line in lines)
    assert lines_of(run, 200)[2:] == [
        " " * 16 + "recon 202.3, kl 32.72, grad_norm 185.9, diversity_tumour 0.5400, usefulness_auc 0.5100"
    ]
