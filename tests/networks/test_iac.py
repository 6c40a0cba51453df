import weakref

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ifan.networks import SeparableFilters, iterative_adaptive_convolution
from ifan.networks.iac import released_channel_order, split_prediction

sizes = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)


def random_prediction(seed, iterations, channels, height, width):
    """Features, and a prediction in the released channel order, whose filters sum to about 1."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    released = torch.randn(
        2, iterations * channels * 7, height, width, generator=generator, dtype=torch.float64
    )
    return features, released / 3


def eq1_by_loops(features, released, iterations, shared_filters):
    """Eq. 1 as it is written, pixel by pixel, on a prediction in the released channel order."""
    count, channels, height, width = features.shape
    taps = released[:, : iterations * channels * 6].reshape(
        count, iterations, 2, channels, 3, height, width
    )
    biases = released[:, iterations * channels * 6 :].reshape(
        count, iterations, channels, height, width
    )
    for n in range(iterations):
        for direction, (dy, dx) in enumerate(((1, 0), (0, 1))):
            filters = taps[:, n, 0 if shared_filters else direction]
            filtered = torch.zeros_like(features)
            for y in range(height):
                for x in range(width):
                    for t in range(3):
                        row = min(max(y + (t - 1) * dy, 0), height - 1)
                        column = min(max(x + (t - 1) * dx, 0), width - 1)
                        tap = filters[:, :, t, y, x]
                        filtered[:, :, y, x] += tap * features[:, :, row, column]
            features = filtered
        features = features + biases[:, n]
        features = torch.where(features > 0, features, 0.1 * features)
    return features


@settings(deadline=None, max_examples=30)
@given(
    seeds, st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.booleans()
)
def test_is_eq1_on_a_released_prediction(seed, iterations, channels, height, width, shared):
    features, released = random_prediction(seed, iterations, channels, height, width)
    prediction = released[:, released_channel_order(iterations, channels)]
    filters = split_prediction(prediction, channels, shared_filters=shared)
    found = iterative_adaptive_convolution(features.clone(), filters)
    torch.testing.assert_close(found, eq1_by_loops(features, released, iterations, shared))


@settings(deadline=None)
@given(seeds, st.integers(1, 5), sizes, sizes)
def test_identity_filters_copy_what_is_positive(seed, iterations, height, width):
    features, _ = random_prediction(seed, 1, 3, height, width)
    features = features.abs()
    zero, one = torch.zeros_like(features), torch.ones_like(features)
    identity = SeparableFilters((zero, one, zero), (zero, one, zero), zero)
    found = iterative_adaptive_convolution(features, [identity] * iterations)
    assert torch.equal(found, features)


def test_activates_the_last_iteration_unless_told_otherwise():
    features = torch.full((1, 1, 2, 2), -1.0)
    zero, one = torch.zeros_like(features), torch.ones_like(features)
    identity = SeparableFilters((zero, one, zero), (zero, one, zero), zero)
    twice = [identity, identity]
    activated = iterative_adaptive_convolution(features, twice)
    plain = iterative_adaptive_convolution(features, twice, final_activation=False)
    torch.testing.assert_close(activated, 0.01 * features)
    torch.testing.assert_close(plain, 0.1 * features)


def test_leaves_the_features_unchanged():
    features, released = random_prediction(0, 2, 3, 4, 5)
    before = features.clone()
    iterative_adaptive_convolution(features, split_prediction(released, 3, shared_filters=False))
    assert torch.equal(features, before)


def test_filters_vertically_first():
    """At a replicated corner the order of the two filters shows: only rows are mixed by f1."""
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    zero, one = torch.zeros_like(features), torch.ones_like(features)
    move_down = (one, zero, zero)  # each pixel takes the one above
    stretch = (zero, features, zero)  # each pixel is multiplied by a factor of its own
    filters = SeparableFilters(move_down, stretch, zero)
    found = iterative_adaptive_convolution(features, [filters])
    assert found.flatten().tolist() == [1.0, 4.0, 3.0, 8.0]


@torch.no_grad()
def test_keeps_one_iteration_of_filters_alive_at_a_time():
    """While the next filters are made, those in use are still there, and none before them."""
    made = []

    def one_by_one():
        for _ in range(5):
            assert not any(filters() is not None for filters in made[:-7])
            tensors = torch.rand(7, 1, 2, 4, 4).unbind()
            made.extend(map(weakref.ref, tensors))
            yield SeparableFilters(tensors[:3], tensors[3:6], tensors[6])
            del tensors

    iterative_adaptive_convolution(torch.rand(1, 2, 4, 4), one_by_one())
    assert len(made) == 5 * 7
