"""The network against values of the released implementation, in both readings of the IAC."""

from __future__ import annotations

import pytest
import torch

from ifan.networks import IFAN, iterative_adaptive_convolution

READINGS = {"shared_filter": True, "separate_filters": False}
ITERATIONS = (8, 17, 26, 35, 44)


@pytest.fixture(params=READINGS)
def reading(request):
    return request.param


def assert_equal_to_1e9(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("iterations", ITERATIONS)
@torch.no_grad()
def test_single_view_in_float64(golden, with_golden_weights, iterations, reading):
    values = golden(f"ifan_n{iterations}_eval.safetensors")
    network = with_golden_weights(IFAN(iterations=iterations, shared_filters=READINGS[reading]))
    picture = values["input"]

    result = network.deblur(picture)
    assert_equal_to_1e9(result.deblurred.clamp(0, 1), values[f"result_{reading}"])
    assert_equal_to_1e9(result.disparity, values["disparity"])

    features = network.feature_extractor(picture)
    assert_equal_to_1e9(features, values["features"])
    feature = network.filter_predictor.trunk(network.filter_encoder(picture), result.disparity)
    filters = network.filter_predictor.one_by_one(feature)
    found = iterative_adaptive_convolution(features, filters)
    assert_equal_to_1e9(found, values[f"iac_output_{reading}"])


@torch.no_grad()
def test_dual_pixel_in_float64(golden, with_golden_weights, reading):
    values = golden("ifan_dual_eval.safetensors")
    network = with_golden_weights(IFAN(dual_pixel=True, shared_filters=READINGS[reading]))
    result = network(values["input"], values["left"], values["right"])
    assert_equal_to_1e9(result.clamp(0, 1), values[f"result_{reading}"])


@pytest.mark.parametrize("iterations", ITERATIONS)
@torch.no_grad()
def test_single_view_in_float32(golden, with_golden_weights, iterations, reading):
    values = golden(f"ifan_n{iterations}_eval.safetensors")
    network = with_golden_weights(IFAN(iterations=iterations, shared_filters=READINGS[reading]))
    found = network.float()(values["input"].float()).clamp(0, 1)
    # With these random weights, values before clipping grow with N, up to 37: so does rounding.
    atol = 1e-5 if iterations <= 17 else 5e-5
    torch.testing.assert_close(found, values[f"result_{reading}"].float(), rtol=0, atol=atol)


@torch.no_grad()
def test_dual_pixel_in_float32(golden, with_golden_weights, reading):
    values = golden("ifan_dual_eval.safetensors")
    network = with_golden_weights(IFAN(dual_pixel=True, shared_filters=READINGS[reading])).float()
    found = network(*(values[view].float() for view in ("input", "left", "right"))).clamp(0, 1)
    torch.testing.assert_close(found, values[f"result_{reading}"].float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("IFAN", {}),
        ("IFAN_8", {"iterations": 8}),
        ("IFAN_26", {"iterations": 26}),
        ("IFAN_35", {"iterations": 35}),
        ("IFAN_44", {"iterations": 44}),
        ("IFAN_dual", {"dual_pixel": True}),
    ],
)
def test_has_as_many_parameters_as_the_released_network(parameters_million, name, variant):
    with torch.device("meta"):
        network = IFAN(**variant)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == round(parameters_million[name] * 1e6)
