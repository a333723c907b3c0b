"""What is said of a processor."""

import pytest

from engine import device
from engine.progress import silent


@pytest.mark.parametrize(
    ("facts", "has"),
    [
        ({"flags": "fpu avx512f avx512_bf16"}, True),
        ({"flags": "fpu amx_bf16"}, True),
        ({"Features": "fp asimd bf16"}, True),
        ({"flags": "fpu avx512f"}, False),
        ({}, False),
    ],
)
def test_bfloat16_is_offered_where_the_processor_has_instructions_for_it(
    facts: dict[str, str], has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_cpuinfo", lambda name: facts.get(name, ""))
    described = device.describe_devices({}, silent)["devices"][0]
    assert described["bfloat16"] is has
    assert described["name"]
