import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from ifan.errors import EngineError
from ifan.evaluation.lpips import Lpips
from ifan.evaluation.metrics import LEAST_SIDE, mae, psnr, ssim


@pytest.fixture(scope="module")
def pair(golden):
    """The pair of pictures that golden values are for: distorted, reference."""
    pictures = golden("metrics.safetensors")
    return pictures["distorted"].numpy(), pictures["reference"].numpy()


@pytest.fixture(scope="module")
def lpips():
    return Lpips()


@pytest.fixture(scope="module")
def values(golden):
    return golden("metrics.json")


def test_psnr_ssim_and_mae_are_those_of_the_paper(pair, values):
    for metric in (psnr, ssim, mae):
        assert metric(*pair) == pytest.approx(values[metric.__name__], abs=1e-6)


def test_lpips_is_that_of_the_paper(pair, values, lpips):
    distorted, reference = pair
    assert lpips(reference, [distorted]) == pytest.approx([values["lpips_alex"]], abs=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ssim_is_that_of_scikit_image(dtype):
    random = np.random.default_rng(1)
    target = random.random((40, 50, 3)).astype(dtype)
    picture = np.clip(target + random.normal(0, 0.1, target.shape), 0, 1).astype(dtype)
    expected = structural_similarity(
        picture.astype(float), target.astype(float), data_range=1, channel_axis=2
    )
    assert ssim(picture, target) == expected


def test_the_gaussian_ssim_is_that_of_an_11x11_window(pair):
    # The definition, for the middle of one channel alone.
    offsets = np.arange(11) - 5
    weights = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(weights, weights) / weights.sum() ** 2
    picture, target = (values[10:21, 10:21, :1] for values in pair)
    x, y = picture[..., 0], target[..., 0]
    (mx, my), (c1, c2) = ((window * v).sum() for v in (x, y)), (0.01**2, 0.03**2)
    variances = (window * (x - mx) ** 2).sum() + (window * (y - my) ** 2).sum()
    covariance = (window * (x - mx) * (y - my)).sum()
    expected = (2 * mx * my + c1) * (2 * covariance + c2)
    expected /= (mx**2 + my**2 + c1) * (variances + c2)
    # Of 11x11 pixels, scikit-image averages over the one that has a whole window.
    assert ssim(picture, target, "gaussian") == pytest.approx(expected, abs=1e-9)


def test_equal_pictures_are_infinitely_near(pair, lpips):
    _, reference = pair
    assert psnr(reference, reference) == math.inf
    assert math.isnan(psnr(np.where(reference > 2, reference, np.nan), reference))
    assert ssim(reference, reference) == pytest.approx(1)
    assert mae(reference, reference) == 0
    assert lpips(reference, [reference]) == [0]


def test_several_pictures_have_the_distances_that_each_has_alone(pair, lpips):
    distorted, reference = pair
    darker = 0.8 * reference
    apart = [*lpips(reference, [distorted]), *lpips(reference, [darker])]
    assert lpips(reference, [distorted, darker]) == pytest.approx(apart, rel=1e-5)


def test_the_least_picture_has_a_distance(lpips):
    random = np.random.default_rng(1)
    first, second = random.random((2, LEAST_SIDE, LEAST_SIDE, 3))
    (distance,) = lpips(first, [second])
    assert 0 < distance < 2


def test_pictures_that_do_not_fit_into_memory_are_refused(pair, lpips, monkeypatch):
    monkeypatch.setattr("ifan.evaluation.lpips.available_memory", lambda: 1_000_000)
    with pytest.raises(
        EngineError, match=r"56x48 pixels need about 0\.0 GB of memory to be scored"
    ):
        lpips(pair[1], [pair[0]])
