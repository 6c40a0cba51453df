import numpy as np
import pytest

from ifan.optics import Sensor, Views


def grey(value, size=300):
    return Views(*(np.full((size, size, 3), value, np.float32) for _ in range(2)))


@pytest.mark.parametrize("light", [0.0, 0.001, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("electrons", [1000, 30_000])
def test_noise_has_the_variance_of_photons_and_of_reading(light, electrons):
    sensor = Sensor(electrons=electrons, read_noise=3)
    noisy = sensor.expose(grey(light), np.random.default_rng(1))
    half = 2 * light / electrons + (2 * 3 / electrons) ** 2
    for view in noisy:
        assert view.mean() == pytest.approx(light, abs=5 * np.sqrt(half / view.size))
        assert view.var() == pytest.approx(half, rel=0.03)
    # The whole pixel is the sum of its halves: half of their variance.
    assert noisy.center.var() == pytest.approx(half / 2, rel=0.03)


def test_noise_is_not_the_same_in_both_views():
    left, right = Sensor().expose(grey(0.5), np.random.default_rng(1))
    assert abs(np.corrcoef((left - 0.5).ravel(), (right - 0.5).ravel())[0, 1]) < 0.02


def test_few_electrons_are_counted():
    """Without read noise the dark consists of whole electrons."""
    sensor = Sensor(electrons=200, read_noise=0)
    counts = sensor.expose(grey(0.05), np.random.default_rng(1)).left * 100
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)


def test_the_same_random_numbers_make_the_same_noise():
    one, other = (Sensor().expose(grey(0.2), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one.left, other.left)
    np.testing.assert_array_equal(one.right, other.right)
