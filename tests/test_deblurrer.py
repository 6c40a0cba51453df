import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from ifan import Deblurrer, IfanError
from ifan.engines import open_engine
from ifan.errors import EngineError, ModelError, OutputError, PictureError
from ifan.models import save_safetensors
from ifan.networks import IFAN
from ifan.working_size import AUTO_WORKING_SIZE, parse_working_size

EXAMPLE = Path(__file__).parents[1] / "examples" / "out-of-focus.jpg"
WHITE = {np.uint8: 255, np.uint16: 65535, np.float32: 1}


@pytest.fixture(scope="module")
def deblurrer():
    return Deblurrer()


@pytest.fixture(scope="module")
def quick():
    """The bundled model on an engine that does not prepare itself for each new size."""
    return Deblurrer(engine="onnxruntime")


@pytest.fixture(scope="module")
def dual_weights(tmp_path_factory):
    """A checkpoint of a small dual-pixel network with random weights."""
    torch.manual_seed(1)
    network = IFAN(width=8, iterations=2, dual_pixel=True)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 2  # as they are, the views hardly matter
    path = tmp_path_factory.mktemp("dual") / "dual.safetensors"
    save_safetensors(path, network)
    return path


@pytest.fixture(scope="module")
def dual(dual_weights):
    return Deblurrer(dual_weights, engine="torch")


def noise(shape, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).random(shape) * WHITE[dtype]
    return values.astype(dtype)


def leaves(side, seed):
    """Discs of all sizes and colours that hide each other: edges and detail everywhere."""
    rng = np.random.default_rng(seed)
    fine = 4 * side
    rows, columns = np.mgrid[:fine, :fine]
    picture = np.full((fine, fine, 3), 0.5)
    for _ in range(300):
        row, column = rng.uniform(0, fine, 2)
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= rng.uniform(16, 100) ** 2
        picture[disc] = rng.uniform(0.05, 0.95, 3)
    return picture.reshape(side, 4, side, 4, 3).mean(axis=(1, 3)).astype(np.float32)


def out_of_focus(picture, radius):
    """Blurs an sRGB picture as a lens does: by a disc, in linear light."""
    half, samples = int(np.ceil(radius)), 9
    across = (np.arange((2 * half + 1) * samples) + 0.5) / samples - half - 0.5
    disc = (across[:, None] ** 2 + across**2 <= radius**2).astype(float)
    disc = disc.reshape(2 * half + 1, samples, 2 * half + 1, samples).mean(axis=(1, 3))
    linear = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    blurred = ndimage.convolve(linear, (disc / disc.sum())[..., None], mode="mirror")
    coded = np.where(blurred <= 0.0031308, 12.92 * blurred, 1.055 * blurred ** (1 / 2.4) - 0.055)
    return coded.clip(0, 1).astype(np.float32)


def psnr(picture, reference):
    return -10 * np.log10(np.mean((picture - reference) ** 2))


def fine_detail(picture):
    return picture - ndimage.gaussian_filter(picture, (2, 2, 0))


class TestSharpening:
    def test_the_example_photograph_gets_sharper_and_stays_the_same_photograph(self, deblurrer):
        with Image.open(EXAMPLE) as picture:
            # The table with the bottle, out of focus.
            before = np.asarray(picture)[150:650, 300:950]
        after = deblurrer(before)
        old, new = (picture.astype(float).mean(axis=2) for picture in (before, after))
        assert ndimage.laplace(new).var() > 3 * ndimage.laplace(old).var()
        assert np.mean(np.diff(new) ** 2) > 1.5 * np.mean(np.diff(old) ** 2)
        assert abs(new.mean() - old.mean()) < 3
        coarse = [ndimage.uniform_filter(picture, 32) for picture in (old, new)]
        assert np.abs(coarse[1] - coarse[0]).max() < 20

    @pytest.mark.parametrize(("radius", "seed"), [(2, 0), (2.5, 1), (3, 2)])
    def test_a_blurred_picture_comes_nearer_to_the_sharp_one(self, deblurrer, radius, seed):
        sharp = leaves(160, seed)
        blurred = out_of_focus(sharp, radius)
        assert psnr(deblurrer(blurred), sharp) > psnr(blurred, sharp) + 0.5

    def test_engines_give_the_same_picture(self):
        blurred = out_of_focus(leaves(72, 3), 2)
        expected = Deblurrer(engine="torch", precision="fp32")(blurred)
        assert np.abs(expected - blurred).max() > 0.05
        for engine in ("openvino", "onnxruntime"):
            other = Deblurrer(engine=engine, precision="fp32")(blurred)
            assert np.abs(other - expected).max() < 1 / 255

    def test_the_precision_that_is_chosen_keeps_the_picture(self, deblurrer):
        blurred = out_of_focus(leaves(72, 3), 2)
        expected = Deblurrer(engine="openvino", precision="fp32")(blurred)
        difference = np.abs(deblurrer(blurred) - expected)
        assert difference.max() < 4 / 255
        assert difference.mean() < 0.5 / 255


class TestPictures:
    @settings(deadline=None, max_examples=40)
    @given(
        height=st.integers(1, 40),
        width=st.integers(1, 40),
        channels=st.sampled_from([(), (3,)]),
        dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
        seed=st.integers(0, 1000),
    )
    @example(height=1, width=1, channels=(), dtype=np.uint8, seed=0)
    @example(height=1, width=40, channels=(3,), dtype=np.float32, seed=0)
    def test_every_size_and_kind_comes_back_as_it_was(
        self, quick, height, width, channels, dtype, seed
    ):
        picture = noise((height, width, *channels), dtype, seed)
        original = picture.copy()
        sharp = quick(picture)
        assert sharp.shape == picture.shape
        assert sharp.dtype == picture.dtype
        assert sharp.min() >= 0
        assert sharp.max() <= WHITE[dtype]
        assert np.array_equal(picture, original)

    @pytest.mark.parametrize("size", [(1, 1), (7, 9), (40, 33), (64, 1), (1, 300), (504, 8)])
    def test_odd_sizes_on_the_default_engine(self, deblurrer, size):
        sharp = deblurrer(noise((*size, 3)))
        assert sharp.shape == (*size, 3)
        assert sharp.dtype == np.uint8

    def test_the_result_is_the_crop_of_that_of_the_reflected_picture(self, quick):
        picture = noise((19, 27, 3), np.float32)
        reflected = np.pad(picture, ((0, 5), (0, 5), (0, 0)), mode="reflect")
        assert np.array_equal(quick(picture), quick(reflected)[:19, :27])

    def test_grey_is_deblurred_as_the_colour_picture_of_equal_channels(self, quick):
        grey = noise((20, 20), np.float32)
        colour = quick(np.repeat(grey[..., None], 3, axis=2))
        assert np.abs(quick(grey) - colour.mean(axis=2)).max() < 1e-6
        assert np.abs(quick(grey) - grey).max() > 0.002

    def test_bit_depths_agree(self, quick):
        eight = (leaves(32, 4) * 255).astype(np.uint8)
        sixteen, real = eight.astype(np.uint16) * 257, (eight / 255).astype(np.float32)
        expected = quick(real).astype(float)
        assert np.abs(quick(sixteen) / 65535 - expected).max() <= 0.51 / 65535
        assert np.abs(quick(eight) / 255 - expected).max() <= 0.51 / 255

    def test_views_of_other_arrays_are_taken(self, quick):
        picture = noise((24, 20, 3))
        mirrored = picture[::-1, ::-1]
        mirrored.flags.writeable = False
        assert np.array_equal(quick(mirrored), quick(mirrored.copy()))


class Mirror:
    """A network that gives the picture upside down, and more light than there can be."""

    def features_bytes(self, pixels):
        return pixels

    def least_room(self, height, width, _wanted):
        return height * width

    def deblur(self, views, _room):
        return np.ascontiguousarray(views[0][:, :, ::-1]) * 1.2


class TestTallPictures:
    """Results are put together in bands of rows."""

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
    @pytest.mark.parametrize("channels", [(), (3,)])
    @pytest.mark.parametrize("height", [256, 264, 520])
    def test_they_are_as_if_made_at_once(self, monkeypatch, dtype, channels, height):
        deblurrer = Deblurrer(engine="onnxruntime")
        monkeypatch.setattr(deblurrer, "_loaded", Mirror())
        picture = noise((height, 8, *channels), dtype)
        before = picture / np.float32(WHITE[dtype])
        after = before + np.float32(0.5) * ((before[::-1] * np.float32(1.2)).clip(0, 1) - before)
        tolerance = 1e-6 if dtype is np.float32 else 0.51
        expected = after.astype(float) * WHITE[dtype]
        assert np.abs(deblurrer(picture, strength=0.5) - expected).max() <= tolerance


class TestThreads:
    def test_one_deblurrer_serves_several(self):
        # More sizes than graphs are kept, so that these are replaced while others are in use.
        pictures = [noise((8 * n, 8 * (4 - n), 3), seed=n) for n in (1, 2, 3)]
        jobs = (Deblurrer.__call__, Deblurrer.defocus_map)

        def both(deblurrer, picture):
            return [job(deblurrer, picture) for job in jobs]

        options = {"engine": "openvino", "precision": "fp32"}
        one_by_one = Deblurrer(**options)
        expected = [both(one_by_one, picture) for picture in pictures]
        shared = Deblurrer(**options)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda picture: both(shared, picture), pictures * 2))
        for pair, expected_pair in zip(found, expected * 2, strict=True):
            assert all(map(np.array_equal, pair, expected_pair))


class TestStrength:
    @settings(deadline=None, max_examples=10)
    @given(
        channels=st.sampled_from([(), (3,)]),
        dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
        seed=st.integers(0, 1000),
    )
    def test_zero_gives_a_copy_of_the_picture(self, quick, channels, dtype, seed):
        picture = noise((9, 14, *channels), dtype, seed)
        same = quick(picture, strength=0)
        assert np.array_equal(same, picture)
        assert not np.shares_memory(same, picture)

    def test_wrong_views_are_refused_at_any_strength(self, dual_weights, tmp_path):
        Image.fromarray(noise((16, 16, 3))).save(tmp_path / "photo.png")
        with pytest.raises(PictureError, match="needs the left and the right dual-pixel view"):
            Deblurrer(dual_weights, engine="torch").deblur_file(tmp_path / "photo.png", strength=0)

    @pytest.mark.parametrize(("dtype", "rounding"), [(np.float32, 1e-5), (np.uint8, 1)])
    def test_the_correction_grows_in_proportion(self, quick, dtype, rounding):
        picture = (out_of_focus(leaves(48, 5), 2) * WHITE[dtype]).astype(dtype)
        correction = quick(picture).astype(float) - picture
        assert np.abs(correction).max() > 10 * rounding
        for strength in (0.25, 0.5, 0.9):
            expected = picture + strength * correction
            part = quick(picture, strength=strength)
            assert np.abs(part - expected).max() <= rounding

    @pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), float("inf")])
    def test_other_strengths_are_refused(self, quick, strength):
        with pytest.raises(ValueError, match="is not between 0 and 1"):
            quick(noise((8, 8)), strength=strength)


class TestRefusals:
    @pytest.mark.parametrize("dtype", [np.float64, np.int32, bool, np.float16])
    def test_other_dtypes(self, quick, dtype):
        with pytest.raises(TypeError, match="pictures are uint8, uint16 or float32 arrays, not"):
            quick(np.zeros((8, 8, 3), dtype))

    @pytest.mark.parametrize("picture", ["photo.jpg", [[0, 1]], None, Image.new("RGB", (8, 8))])
    @pytest.mark.parametrize("job", [Deblurrer.__call__, Deblurrer.defocus_map])
    def test_what_is_no_array(self, quick, job, picture):
        with pytest.raises(TypeError, match="pictures are uint8, uint16 or float32 arrays, not"):
            job(quick, picture)

    @pytest.mark.parametrize("shape", [(8,), (8, 8, 1), (8, 8, 4), (1, 8, 8, 3), (0, 8, 3), (8, 0)])
    def test_other_shapes(self, quick, shape):
        with pytest.raises(ValueError, match="pictures are HxWx3 or HxW, not of shape"):
            quick(np.zeros(shape, np.uint8))

    @pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
    @pytest.mark.parametrize("job", [Deblurrer.__call__, Deblurrer.defocus_map])
    def test_values_out_of_range(self, quick, job, value):
        picture = np.full((8, 8, 3), 0.5, np.float32)
        picture[3, 4, 1] = value
        with pytest.raises(ValueError, match="have values from 0 to 1"):
            job(quick, picture)

    @pytest.mark.parametrize("size", [0, -5, "0", "", "big", "1.5", 0.5, None])
    def test_working_sizes(self, size):
        with pytest.raises(ValueError, match="is neither auto, full nor pixels, nor blur"):
            Deblurrer(working_size=size)

    def test_engines_precisions_and_models(self):
        with pytest.raises(EngineError, match="choose auto or openvino, torch, onnxruntime"):
            Deblurrer(engine="abacus")
        with pytest.raises(EngineError, match="is not offered by onnxruntime"):
            Deblurrer(engine="onnxruntime", precision="bf16")
        with pytest.raises(ModelError, match="see the names: ifan models list"):
            Deblurrer("no-such-model")
        assert all(issubclass(error, IfanError) for error in (EngineError, ModelError))


class TestWorkingSize:
    def test_what_the_words_mean(self):
        assert parse_working_size("auto") == AUTO_WORKING_SIZE == 2048
        assert parse_working_size("full") is None
        assert parse_working_size("512") == parse_working_size(512) == 512

    def test_a_smaller_one_keeps_the_detail_of_the_photograph(self):
        grain = 0.02 * np.random.default_rng(6).standard_normal((256, 256, 3))
        blurred = 0.2 + 0.6 * out_of_focus(leaves(256, 6), 8) + grain
        photograph = blurred.clip(0, 1).astype(np.float32)
        sharp = Deblurrer(engine="onnxruntime", working_size=64)(photograph)
        assert (sharp - photograph).std() > 0.01
        # The grain, too fine for the network to have seen it, is there as it was.
        before, after = (np.mean(fine_detail(p) * grain) for p in (photograph, sharp))
        assert after == pytest.approx(before, rel=0.05)

    @pytest.mark.parametrize("radius", [3, 18, 28])
    def test_blur_corrects_at_the_size_that_suits_it(self, quick, radius):
        sharp = leaves(512, 7).clip(0, 1).astype(np.float32)
        blurred = out_of_focus(sharp, radius).clip(0, 1).astype(np.float32)
        gains = {
            size: psnr(quick.at(size)(blurred), sharp) - psnr(blurred, sharp)
            for size in (512, 256, 128, "blur")
        }
        gain = gains.pop("blur")
        assert gain > max(gains.values()) - 0.3
        assert gain > 0.5
        if radius > 10:
            assert gain > gains[512] + 0.2

    @pytest.mark.parametrize("size", [48, 49, 5000, "auto"])
    def test_one_that_is_no_smaller_is_the_full_one(self, size):
        picture = noise((37, 48, 3))
        full = Deblurrer(engine="onnxruntime", working_size="full")(picture)
        assert np.array_equal(Deblurrer(engine="onnxruntime", working_size=size)(picture), full)

    def test_any_is_possible(self):
        picture = noise((30, 7, 3))
        assert Deblurrer(engine="onnxruntime", working_size=1)(picture).shape == picture.shape


class TestDefocusMap:
    @pytest.mark.parametrize("shape", [(1, 1), (37, 50, 3), (50, 21)])
    def test_a_number_for_each_pixel(self, quick, shape):
        values = quick.defocus_map(noise(shape))
        assert values.shape == shape[:2]
        assert values.dtype == np.float32
        assert np.isfinite(values).all()

    @pytest.mark.parametrize("blurred_half", [slice(None, 80), slice(80, None)])
    def test_the_blurred_half_has_the_larger_numbers(self, deblurrer, blurred_half):
        picture = leaves(160, 0)
        picture[:, blurred_half] = out_of_focus(picture, 3)[:, blurred_half]
        size = np.abs(deblurrer.defocus_map(picture))
        left, right = size[:, :60].mean(), size[:, 100:].mean()
        blurred, sharp = (left, right) if blurred_half.start is None else (right, left)
        assert blurred > 1.5 * sharp

    def test_the_border_looks_no_different_from_the_rest(self, quick):
        pictures = [out_of_focus(leaves(192, seed), 4) for seed in range(3)]
        size = np.mean([np.abs(quick.defocus_map(picture)) for picture in pictures], axis=0)
        inside = size[16:-16, 16:-16].mean()
        for strip in (size[:8], size[-8:], size[:, :8], size[:, -8:]):
            assert strip.mean() == pytest.approx(inside, rel=0.3)

    def test_it_is_in_pixels_of_the_photograph(self, quick):
        small = out_of_focus(leaves(96, 1), 4)
        large = ndimage.zoom(small, (2, 2, 1), order=1, grid_mode=True, mode="nearest").clip(0, 1)
        seen_small = Deblurrer(engine="onnxruntime", working_size=96).defocus_map(large)
        expected = np.abs(quick.defocus_map(small)).mean()
        assert expected > 0.5
        assert np.abs(seen_small).mean() == pytest.approx(2 * expected, rel=0.15)


class TestFiles:
    @pytest.fixture
    def photo(self, tmp_path):
        path = tmp_path / "photo.png"
        Image.fromarray(noise((20, 28, 3))).save(path)
        return path

    def test_the_result_is_that_of_the_array(self, quick, photo):
        result = quick.deblur_file(photo)
        assert result == photo.with_name("photo.deblurred.png")
        with Image.open(photo) as before, Image.open(result) as after:
            assert np.array_equal(np.asarray(after), quick(np.asarray(before)))

    def test_strength_and_comparison(self, quick, photo):
        both = photo.with_name("both.png")
        target = photo.with_name("same.png")
        quick.deblur_file(str(photo), str(target), strength=0, comparison=both)
        with Image.open(photo) as before, Image.open(target) as after, Image.open(both) as picture:
            assert np.array_equal(np.asarray(before), np.asarray(after))
            assert np.array_equal(np.asarray(picture)[:, :28], np.asarray(before))

    def test_the_photograph_is_never_replaced(self, quick, photo):
        original = photo.read_bytes()
        other = photo.with_name("other.png")
        (photo.parent / "link.png").symlink_to(photo)
        jobs = [
            lambda: quick.deblur_file(photo, photo, overwrite=True),
            lambda: quick.deblur_file(photo, photo.with_name("link.png"), overwrite=True),
            lambda: quick.deblur_file(photo, other, comparison=photo, overwrite=True),
            lambda: quick.defocus_map_file(photo, photo, overwrite=True),
        ]
        for job in jobs:
            with pytest.raises(OutputError, match="is the photograph itself; choose another name"):
                job()
        assert photo.read_bytes() == original
        assert not other.exists()

    def test_a_target_that_cannot_be_is_refused_before_the_work(self, photo):
        # A model that cannot be loaded shows that nothing was done.
        (photo.parent / "model.safetensors").write_bytes(b"no weights")
        broken = Deblurrer(photo.parent, engine="onnxruntime")
        see_through = photo.with_name("see-through.png")
        Image.fromarray(noise((8, 8, 4))).save(see_through)
        with pytest.raises(OutputError, match=r"x\.jpg: JPEG has no transparency; write a \.png"):
            broken.deblur_file(see_through, photo.with_name("x.jpg"))
        with pytest.raises(OutputError, match="has no transparency"):
            broken.deblur_file(
                see_through, photo.with_name("x.png"), comparison=photo.with_name("x.jpg")
            )
        for target, reason in [
            ("photo.gif", "is no format that is written"),
            ("none/photo.png", "its folder does not exist"),
            (".", "has no suffix"),
        ]:
            with pytest.raises(OutputError, match=reason):
                broken.deblur_file(photo, photo.parent / target)
        with pytest.raises(ModelError):
            broken.deblur_file(photo, photo.parent / "fine.png")

    def test_a_photograph_without_a_suffix(self, quick, photo):
        bare = photo.rename(photo.with_name("bare"))
        assert quick.deblur_file(bare).name == "bare.deblurred.png"

    def test_a_comparison_does_not_replace_the_result(self, quick, photo):
        target = photo.with_name("sharp.png")
        with pytest.raises(OutputError, match=r"sharp\.png: is the result, too"):
            quick.deblur_file(photo, target, comparison=target, overwrite=True)
        assert not target.exists()

    def test_a_photograph_that_is_missing_comes_before_its_result(self, quick, tmp_path):
        for job in (quick.deblur_file, quick.defocus_map_file):
            with pytest.raises(PictureError, match="photo: does not exist; check the name"):
                job(tmp_path / "photo", tmp_path / "result")

    @pytest.mark.parametrize(
        "function",
        ["read_photograph", "rendition.resize", "write_photograph", "side_by_side"],
    )
    def test_memory_that_runs_out_anywhere(self, monkeypatch, photo, function):
        def fails(*_arguments, **_options):
            raise MemoryError

        deblurrer = Deblurrer(engine="onnxruntime", working_size=16)
        monkeypatch.setattr(f"ifan.images.{function}", fails)
        with pytest.raises(EngineError, match=r"photo\.png: memory ran out; close other programs"):
            deblurrer.deblur_file(photo, comparison=photo.with_name("both.png"))

    def test_a_network_that_gives_no_numbers(self, photo):
        network = IFAN(width=1, iterations=1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(float("nan"))
        weights = photo.with_name("nan.safetensors")
        save_safetensors(weights, network)
        broken = Deblurrer(weights, engine="torch", precision="fp32")
        reason = r"photo\.png: gave values that are not numbers; choose --precision fp32"
        with pytest.raises(EngineError, match=reason):
            broken.deblur_file(photo)
        with pytest.raises(EngineError, match=reason):
            broken.defocus_map_file(photo, photo.with_name("map.png"))
        assert {path.name for path in photo.parent.iterdir()} == {"photo.png", "nan.safetensors"}

    def test_a_strength_that_cannot_be(self, quick, photo):
        with pytest.raises(ValueError, match="is not between 0 and 1"):
            quick.deblur_file(photo, strength=2)
        assert [path.name for path in photo.parent.iterdir()] == ["photo.png"]

    def test_the_map_as_numbers_and_as_colours(self, quick, photo):
        with Image.open(photo) as picture:
            expected = quick.defocus_map(np.asarray(picture))
        span = quick.defocus_map_file(photo, photo.with_name("map.tif"))
        assert span == (expected.min(), expected.max())
        with Image.open(photo.with_name("map.tif")) as values:
            assert np.array_equal(np.asarray(values), expected)
        quick.defocus_map_file(photo, photo.with_name("map.png"))
        with Image.open(photo.with_name("map.png")) as colours:
            assert (colours.mode, colours.size) == ("RGB", (28, 20))


class TestDualPixel:
    @pytest.fixture
    def views(self):
        return [noise((21, 30, 3), seed=seed) for seed in range(3)]

    def test_all_three_views_count(self, dual, views):
        center, left, right = views
        assert dual.dual_pixel
        sharp = dual(center, left=left, right=right)
        assert sharp.shape == center.shape
        assert sharp.dtype == center.dtype
        assert not np.array_equal(dual(center, left=right, right=left), sharp)
        assert not np.array_equal(dual(left, left=left, right=right), sharp)
        values = dual.defocus_map(center, left=left, right=right)
        assert values.shape == (21, 30)
        assert not np.array_equal(dual.defocus_map(center, left=right, right=left), values)

    def test_views_that_are_missing_or_unlike(self, dual, quick, views):
        center, left, right = views
        needs = "needs the left and the right dual-pixel view"
        for sides in ({}, {"left": left}, {"right": right}):
            with pytest.raises(ValueError, match=needs):
                dual(center, **sides)
            with pytest.raises(ValueError, match=needs):
                dual.defocus_map(center, **sides)
        with pytest.raises(ValueError, match="the views differ in size"):
            dual(center, left=left[:-1], right=right)
        assert not quick.dual_pixel
        with pytest.raises(ValueError, match="takes one view, without a left and a right one"):
            quick(center, left=left, right=right)

    def test_files(self, dual, quick, tmp_path, views):
        center, left, right = (tmp_path / f"{name}.png" for name in ("c", "l", "r"))
        for path, view in zip((center, left, right), views, strict=True):
            Image.fromarray(view).save(path)
        result = dual.deblur_file(center, left=left, right=right)
        with Image.open(result) as picture:
            expected = dual(views[0], left=views[1], right=views[2])
            assert np.array_equal(np.asarray(picture), expected)
        dual.defocus_map_file(center, tmp_path / "map.tif", left=left, right=right)
        for job in (
            lambda: dual.deblur_file(center, tmp_path / "x.png", left=left),
            lambda: dual.defocus_map_file(center, tmp_path / "x.tif"),
            lambda: quick.deblur_file(center, tmp_path / "x.png", left=left, right=right),
        ):
            with pytest.raises(PictureError, match=r"c\.png: the model .* view.*; give the views"):
                job()
        with pytest.raises(OutputError, match="is the photograph itself"):
            dual.deblur_file(center, left, left=left, right=right, overwrite=True)


def test_threads_that_begin_together_share_one_network(monkeypatch):
    opened = []

    def open_slowly(*arguments, **options):
        opened.append(arguments)
        time.sleep(0.2)
        return open_engine(*arguments, **options)

    monkeypatch.setattr("ifan.deblurrer.engines.open_engine", open_slowly)
    shared = Deblurrer(engine="onnxruntime")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(shared, [noise((16, 16, 3))] * 4))
    assert len(opened) == 1
    assert all(np.array_equal(result, results[0]) for result in results)


class TestMemory:
    def test_with_less_the_picture_is_the_same(self):
        picture = noise((1000, 1016, 3), np.float32)
        options = {"engine": "openvino", "precision": "fp32"}
        whole, tiled = Deblurrer(**options, memory=4), Deblurrer(**options, memory=0.5)
        np.testing.assert_allclose(tiled(picture), whole(picture), rtol=0, atol=1e-5)
        maps = tiled.defocus_map(picture), whole.defocus_map(picture)
        np.testing.assert_allclose(*maps, rtol=0, atol=1e-4)

    def test_too_little_is_said(self):
        with pytest.raises(EngineError, match=r"1016x1000 pixels .*more --memory"):
            Deblurrer(memory=0.36)(noise((1000, 1016, 3)))

    @pytest.mark.parametrize("memory", [0, -1, float("nan")])
    def test_what_is_no_memory_is_refused(self, memory):
        with pytest.raises(ValueError, match="not a positive number of gigabytes"):
            Deblurrer(memory=memory)
