import numpy as np
import pytest
from sets import save

from ifan.errors import PictureError
from ifan.evaluation.protocol import (
    PROTOCOLS,
    Protocol,
    cropped,
    finished,
    fitted_size,
    open_protocol,
    read_picture,
    read_result,
)

LEVELS = np.arange(65536, dtype=np.uint16).reshape(256, 256)


@pytest.fixture(scope="module")
def levels(tmp_path_factory):
    """A picture that has every level of 16 bits."""
    return save(np.stack([LEVELS] * 3, axis=-1), tmp_path_factory.mktemp("levels") / "all.png")


def test_16_bits_are_truncated_to_8(levels):
    seen = read_picture(levels, 8, Protocol())
    np.testing.assert_array_equal(np.rint(seen[..., 0] * 255), LEVELS >> 8)


def test_elsewhere_they_are_rounded_which_changes_a_quarter_of_the_levels(levels):
    seen = np.rint(read_picture(levels, 8, open_protocol("rounded"))[..., 0] * 255)
    np.testing.assert_array_equal(seen, np.rint(LEVELS / 257))
    assert np.mean(seen != LEVELS >> 8) == pytest.approx(0.248, abs=0.001)


def test_a_model_of_16_bits_sees_all_of_them(levels):
    seen = read_picture(levels, 16, Protocol())
    np.testing.assert_array_equal(np.rint(seen[..., 0] * 65535), LEVELS)
    np.testing.assert_array_equal(read_result(levels), seen)


def test_floating_point_pictures_are_refused(tmp_path):
    path = save(np.zeros((40, 40, 3), np.float32), tmp_path / "a.tif")
    for read in (lambda: read_picture(path, 8, Protocol()), lambda: read_result(path)):
        with pytest.raises(PictureError, match="holds floating-point numbers"):
            read()


@pytest.mark.parametrize(
    ("name", "size"), [("ifan", (40, 56)), ("crop16", (32, 48)), ("padded", (45, 60))]
)
def test_sizes_are_cropped_at_the_bottom_and_on_the_right(name, size):
    values = np.random.default_rng(1).random((45, 60, 3), np.float32)
    kept = cropped(values, fitted_size(45, 60, open_protocol(name)))
    np.testing.assert_array_equal(kept, values[: size[0], : size[1]])


def test_outputs_are_clipped_left_as_they_are_or_quantised():
    output = np.array([[[-0.25, 0.5, 1.25]]], np.float32)
    seen = {name: finished(output, open_protocol(name)) for name in ("ifan", "unclipped")}
    np.testing.assert_array_equal(seen["ifan"], [[[0, 0.5, 1]]])
    np.testing.assert_array_equal(seen["unclipped"], output)
    rounded = finished(output, open_protocol("quantised"))
    np.testing.assert_array_equal(rounded, np.float32([[[0, 128, 255]]]) / 255)


def test_methods_have_the_steps_that_are_known_of_them():
    assert open_protocol("drbnet") == Protocol("drbnet", multiple=16, output="float")
    assert open_protocol("padded+gaussian").window == "gaussian"
    assert all(open_protocol(name).name == name for name in PROTOCOLS)


@pytest.mark.parametrize(
    "name", ["x", "padded+x", "padded+crop16", "", "ifan+padded", "unclipped,padded"]
)
def test_what_is_no_protocol_is_refused(name):
    with pytest.raises(ValueError, match=r"is none of|says two things"):
        open_protocol(name)
