"""Sharp photographs, decoded once for a training."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ifan.datasets.photographs import Photographs, decode
from ifan.errors import IfanError


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photographs):
    path = tmp_path_factory.mktemp("photographs")
    (path / "a_b").mkdir()
    for number, picture in enumerate(photographs):
        Image.fromarray(picture).save(path / "a_b" / f"{number}.png")
    Image.fromarray(photographs[0]).filter(ImageFilter.GaussianBlur(4)).save(path / "soft.png")
    (path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return path


@pytest.fixture(scope="module")
def decoded(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("decoded")
    decode(folder, path, 1, lambda: False)
    return path


def test_sharp_ones_are_there_pixel_by_pixel(decoded, photographs):
    found = Photographs(decoded)
    assert found.names == ["a_b/0.png", "a_b/1.png", "a_b/2.png"]
    for picture, expected in zip(found, photographs, strict=True):
        np.testing.assert_array_equal(picture, expected)


def test_those_held_out_are_not_trained_with(decoded):
    training = Photographs(decoded, held_out=1)
    validation = Photographs(decoded, held_out=1, validation=True)
    assert len(training) == 2
    assert sorted(training.names + validation.names) == Photographs(decoded).names


def test_they_are_decoded_anew_only_if_they_changed(decoded, folder, tmp_path):
    before = {file: file.stat().st_mtime_ns for file in decoded.iterdir()}
    decode(folder, decoded, 1, lambda: False)
    assert {file: file.stat().st_mtime_ns for file in decoded.iterdir()} == before


def test_a_folder_without_a_sharp_photograph_is_refused(tmp_path, photographs):
    soft = Image.fromarray(photographs[0]).filter(ImageFilter.GaussianBlur(4))
    (tmp_path / "photographs").mkdir()
    soft.save(tmp_path / "photographs" / "soft.png")
    with pytest.raises(IfanError, match="no sharp photograph among its 1"):
        decode(tmp_path / "photographs", tmp_path / "out", 1, lambda: False)
