"""What precision a training has on the processor that is there."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch

from ifan.training.devices import has_bfloat16, open_fabric


@pytest.mark.parametrize(
    ("has", "taken", "dtype"),
    [(True, "bf16-mixed", torch.bfloat16), (False, "32-true", torch.float32)],
)
def test_bf16_is_taken_where_the_processor_has_it(has, taken, dtype, monkeypatch, caplog):
    monkeypatch.setattr("ifan.training.devices.has_bfloat16", lambda _: has)
    with caplog.at_level(logging.WARNING, logger="ifan"):
        fabric = open_fabric("bf16", "cpu")
    assert fabric.strategy.precision.precision == taken
    with fabric.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert ("fp32 is taken instead" in caplog.text) is not has


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_is_asked_whether_it_computes_bf16_itself(has, monkeypatch):
    """Before compute capability 8 it is emulated, as PyTorch counts as support unless told not."""

    def supported(including_emulation=True):
        return including_emulation or has

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert has_bfloat16(torch.device("cuda")) is has


@pytest.mark.parametrize(("device", "named"), [("cpu", "this processor"), ("cuda", "this GPU")])
def test_the_warning_names_what_is_slow(device, named, monkeypatch, caplog):
    opened = []

    def fabric(precision, _):
        opened.append(precision)
        return SimpleNamespace(
            device=torch.device(device),
            strategy=SimpleNamespace(precision=SimpleNamespace()),
            launch=lambda: None,
        )

    monkeypatch.setattr("ifan.training.devices._fabric", fabric)
    monkeypatch.setattr("ifan.training.devices.has_bfloat16", lambda _: False)
    with caplog.at_level(logging.WARNING, logger="ifan"):
        open_fabric("bf16", "auto")
    assert opened == ["bf16", "fp32"]
    assert f"bf16: is slow on {named}; fp32 is taken instead" in caplog.text
