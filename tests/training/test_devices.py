"""What precision a training has on the processor that is there."""

from __future__ import annotations

import logging

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


def test_a_gpu_is_given_bf16():
    assert has_bfloat16(torch.device("cuda"))
