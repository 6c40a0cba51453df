import ctypes
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from ifan import Deblurrer
from ifan.models import save_safetensors
from ifan.networks import IFAN
from processes import Process


def like_any_user():
    """Takes from root the right to read and write anything; other users do not have it anyway."""
    drop_from_bounding_set, override, search = 24, 1, 2  # as Linux numbers them
    for capability in (override, search):
        ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0)


LIMITED = """
import resource, sys
from pathlib import Path
import psutil
from ifan import Deblurrer
from ifan.commands import main

deblurrer = Deblurrer()
deblurrer.deblur_file("small.png", "warm.png", comparison="warm-too.png")
Path("warm.png").unlink()
limit = psutil.Process().memory_info().vms + (int(sys.argv.pop()) << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.argv += ["deblur", "large.png", "small.png", "-o", "out"]
main()
"""


def load(path):
    """The pixels of a file, as Pillow reads them."""
    with Image.open(path) as picture:
        return np.asarray(picture)


def names(folder):
    """All files below a folder, hidden ones too."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()
    )


def failed(*lines):
    """What standard error holds after a run over several photographs."""
    return "".join(f"{line}\n" for line in (*lines, "failed:", *lines))


class TestResults:
    def test_beside_the_photograph(self, ifan, save, folder, picture):
        photograph = save("photo.png")
        before = photograph.read_bytes()
        done = ifan("deblur", "photo.png")
        assert done.stdout.startswith("photo.png -> photo.deblurred.png (")
        assert done.stderr == ""
        assert names(folder) == ["photo.deblurred.png", "photo.png"]
        sharp = load(folder / "photo.deblurred.png")
        assert sharp.shape == picture.shape
        assert not np.array_equal(sharp, picture)
        assert photograph.read_bytes() == before

    def test_in_a_file_or_a_folder(self, ifan, save, folder):
        save("photo.png")
        ifan("deblur", "photo.png", "-o", "sharp.jpg", "--strength", 0.5)
        ifan("deblur", "photo.png", "--output", "new/folder", "--working-size", 16)
        assert names(folder) == ["new/folder/photo.png", "photo.png", "sharp.jpg"]
        with Image.open(folder / "sharp.jpg") as sharp:
            assert (sharp.format, sharp.size) == ("JPEG", (32, 24))
        assert load(folder / "new/folder/photo.png").shape == (24, 32, 3)

    def test_of_several_passes(self, ifan, save, folder, picture):
        save("photo.png")
        ifan("deblur", "photo.png", "--passes", 4)
        expected = Deblurrer(passes=4)(picture)
        sharp = load(folder / "photo.deblurred.png")
        assert np.abs(sharp.astype(int) - expected).max() <= 1
        assert not np.array_equal(sharp, Deblurrer()(picture))

    def test_of_files_and_folders(self, ifan, save, folder):
        for name in ("a.png", "photos/b.png", "photos/deep/b.png", "photos/c.deblurred.png"):
            save(name)
        (folder / "photos" / "notes.txt").write_text("text")
        done = ifan("deblur", "a.png", "photos", "-o", "flat")
        assert names(folder / "flat") == ["a.png", "b.png"]
        assert done.stdout.splitlines()[-1] == "2 done, 0 skipped, 0 failed"
        ifan("deblur", "photos", "-o", "deep", "--recursive")
        assert names(folder / "deep") == ["b.png", "deep/b.png"]

    def test_an_earlier_result_stays_until_it_is_to_be_replaced(self, ifan, save, folder):
        save("a.png")
        save("b.png")
        ifan("deblur", ".", "--strength", 0)
        first = load(folder / "a.deblurred.png")
        done = ifan("deblur", ".")
        assert done.stdout.splitlines() == [
            "a.png: skipped, a.deblurred.png exists; --overwrite replaces it",
            "b.png: skipped, b.deblurred.png exists; --overwrite replaces it",
            "0 done, 2 skipped, 0 failed",
        ]
        assert np.array_equal(load(folder / "a.deblurred.png"), first)
        ifan("deblur", ".", "--overwrite")
        assert not np.array_equal(load(folder / "a.deblurred.png"), first)
        assert names(folder) == ["a.deblurred.png", "a.png", "b.deblurred.png", "b.png"]

    def test_beside_each_other(self, ifan, save, folder, picture):
        save("a.png")
        ifan("deblur", "a.png", "--compare")
        both = load(folder / "a.deblurred.compare.png")
        assert both.shape == (24, 2 * 32 + 2, 3)
        assert np.array_equal(both[:, :32], picture)
        assert np.array_equal(both[:, 34:], load(folder / "a.deblurred.png"))
        ifan("deblur", ".", "-o", "out")
        assert names(folder / "out") == ["a.png"]

    def test_beside_each_other_later(self, ifan, save, folder):
        save("a.png")
        ifan("deblur", "a.png", "--compare")
        both = folder / "a.deblurred.compare.png"
        expected = load(both)
        done = ifan("deblur", "a.png", "--compare")
        assert ": skipped, " in done.stdout
        both.unlink()
        done = ifan("deblur", "a.png", "--compare")
        assert done.stdout.startswith("a.png -> a.deblurred.png (")
        assert np.array_equal(load(both), expected)

    def test_beside_each_other_never_in_place_of_another(self, ifan, save, folder, picture):
        save("good.jpg")
        save("good.compare.jpg", picture[::-1])
        options = ["-o", "out", "--compare", "--overwrite"]
        done = ifan("deblur", "good.jpg", "good.compare.jpg", *options, status=1)
        assert done.stderr == failed(
            "good.compare.jpg: would get the same result file as good.jpg: out/good.compare.jpg; "
            "deblur the two into different folders"
        )
        assert names(folder / "out") == ["good.compare.jpg", "good.jpg"]
        assert load(folder / "out/good.compare.jpg").shape == (24, 2 * 32 + 2, 3)

    def test_of_a_photograph_that_is_given_twice(self, ifan, save):
        save("a.png")
        done = ifan("deblur", "a.png", "./a.png")
        assert len(done.stdout.splitlines()) == 1

    @pytest.mark.parametrize("inputs", [["a.png", "b.png"], ["."]])
    def test_several_for_the_name_of_a_picture(self, ifan, save, folder, inputs):
        save("a.png")
        save("b.png")
        done = ifan("deblur", *inputs, "-o", "one.jpg", status=2)
        assert done.stderr.splitlines()[-1].endswith(
            "one.jpg: is the name of a picture, and there are several results; "
            "give the name of a folder"
        )
        assert names(folder) == ["a.png", "b.png"]

    def test_two_for_one_file(self, ifan, save):
        save("a.png")
        save("deep/a.png")
        done = ifan("deblur", "a.png", "deep/a.png", "-o", "out", status=1)
        assert done.stderr == failed(
            "deep/a.png: would get the same result file as a.png: out/a.png; "
            "deblur the two into different folders"
        )
        assert done.stdout.splitlines()[-1] == "1 done, 0 skipped, 1 failed"

    @pytest.mark.parametrize("options", [[], ["--overwrite"]])
    def test_never_in_place_of_the_photograph(self, ifan, save, folder, options):
        before = save("a.png").read_bytes()
        done = ifan("deblur", "a.png", "-o", "a.png", *options, status=1)
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("a.png: is ")
        assert names(folder) == ["a.png"]
        assert (folder / "a.png").read_bytes() == before

    def test_of_a_dual_pixel_model(self, ifan, save, folder, picture):
        torch.manual_seed(1)
        save_safetensors(folder / "dual.safetensors", IFAN(8, 2, dual_pixel=True))
        save("center.png")
        save("left.png", picture[:, ::-1])
        save("right.png", picture[::-1])
        model = ["--model", "dual.safetensors", "--engine", "torch"]
        ifan("deblur", "center.png", "--left", "left.png", "--right", "right.png", *model)
        assert load(folder / "center.deblurred.png").shape == (24, 32, 3)
        done = ifan("deblur", "center.png", "-o", "x.png", "--left", "left.png", *model, status=1)
        assert done.stderr == (
            "center.png: the model needs the left and the right dual-pixel view as well; "
            "give the views that the model needs, all of one size\n"
        )
        done = ifan("deblur", "center.png", "--left", "left.png", "-o", "x.png", status=1)
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("center.png: the model takes one view, without a left")
        views = ["--left", "left.png", "--right", "right.png"]
        done = ifan("deblur", "[cl]e*t*.png", *views, *model, "--overwrite", status=2)
        assert "dual-pixel views belong to one photograph; give one INPUT" in done.stderr
        assert not (folder / "x.png").exists()


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, picture):
    """Photographs of all kinds, deblurred in one run."""
    folder = tmp_path_factory.mktemp("kinds")
    deep = picture.astype(np.uint16) * 200 + 77
    grey = picture[..., 0]
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(grey).save(folder / "grey.jpg")
    Image.fromarray(deep[..., 0]).save(folder / "deep-grey.png")
    tifffile.imwrite(folder / "deep.tif", deep, photometric="rgb")
    Image.fromarray(np.dstack([picture, grey])).save(folder / "alpha.png")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera works"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(picture).save(folder / "turned.jpg", exif=exif, icc_profile=profile, quality=95)
    subprocess.run([sys.executable, "-m", "ifan", "deblur", folder], check=True)
    return folder


class TestPhotographsSurvive:
    @pytest.mark.parametrize("name", ["grey.png", "grey.jpg", "deep-grey.png"])
    def test_grey_stays_grey(self, kinds, name):
        with Image.open(kinds / name) as before:
            mode = before.mode
        with Image.open((kinds / name).with_suffix(f".deblurred.{name[-3:]}")) as after:
            assert after.mode == mode
            assert after.size == (32, 24)

    def test_16_bits_stay_16_bits(self, kinds):
        for values in (
            tifffile.imread(kinds / "deep.deblurred.tif"),
            load(kinds / "deep-grey.deblurred.png"),
        ):
            assert values.dtype == np.uint16
            # Not 8 bits that have been stretched.
            assert len(np.unique(values % 257)) > 100
        assert tifffile.imread(kinds / "deep.deblurred.tif").shape == (24, 32, 3)

    def test_transparency_stays_as_it_was(self, kinds, picture):
        assert np.array_equal(load(kinds / "alpha.deblurred.png")[..., 3], picture[..., 0])

    def test_exif_and_colour_profile_stay_and_orientation_is_applied(self, kinds):
        with Image.open(kinds / "turned.jpg") as before:
            upright = np.asarray(before.transpose(Image.Transpose.ROTATE_270)).astype(int)
            profile = before.info["icc_profile"]
        with Image.open(kinds / "turned.deblurred.jpg") as after:
            assert after.size == (24, 32)
            assert after.getexif()[0x010F] == "Camera works"
            assert after.getexif().get(0x0112, 1) == 1
            assert after.info["icc_profile"] == profile
            assert np.abs(np.asarray(after) - upright).mean() < 20


class TestFailures:
    def test_each_is_one_line_and_the_rest_is_done(self, ifan, save, folder):
        whole = {suffix: save(f"good.{suffix}") for suffix in ("png", "jpg", "tif")}
        (folder / "bad").mkdir()
        for suffix, path in whole.items():
            data = path.read_bytes()
            (folder / "bad" / f"cut.{suffix}").write_bytes(data[: len(data) // 2])
        (folder / "bad" / "empty.jpg").write_bytes(b"")
        (folder / "bad" / "text.jpg").write_text("This is no picture.")
        (folder / "bad" / "moving.jpg").write_bytes(b"GIF89a" + bytes(50))
        (folder / "bad" / "folder.png").mkdir()
        bad = sorted(f"bad/{path.name}" for path in (folder / "bad").iterdir() if path.is_file())
        done = ifan("deblur", "good.png", "none.png", *bad, "good.tif", "-o", "out", status=1)
        lines = done.stderr.splitlines()
        lines, again = lines[: len(bad) + 1], lines[len(bad) + 1 :]
        assert [line.split(":")[0] for line in lines] == ["none.png", *bad]
        assert again == ["failed:", *lines]
        for line, reason in zip(
            lines,
            [
                "does not exist; check the name",
                *["is damaged or cut short ("] * 3,
                "is empty; give a picture",
                "is a GIF picture; give a picture",
                "is not a picture; give a picture",
            ],
            strict=True,
        ):
            assert reason in line
            assert "; " in line
        assert done.stdout.splitlines()[-1] == "2 done, 0 skipped, 7 failed"
        assert names(folder / "out") == ["good.png", "good.tif"]
        assert names(folder / "bad") == [name.removeprefix("bad/") for name in bad]

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("none.png", "does not exist; check the name"),
            ("none", "does not exist; check the name"),
            (
                "x" * 300 + ".png",
                "cannot be read (File name too long); check the name and the disk",
            ),
        ],
    )
    def test_a_single_one(self, ifan, folder, name, said):
        done = ifan("deblur", name, "-o", "out.png", status=1)
        assert done.stderr == f"{name}: {said}\n"
        assert done.stdout == ""
        assert names(folder) == []

    def test_what_may_not_be_read_or_written(self, ifan, save, folder):
        save("closed.png").chmod(0)
        save("open.png")
        (folder / "out").mkdir(mode=0o500)
        save("hidden/a.png").parent.chmod(0)
        inputs = ("closed.png", "hidden/a.png", "open.png")
        done = ifan("deblur", *inputs, "-o", "new", status=1, preexec_fn=like_any_user)
        assert done.stderr == failed(
            "closed.png: may not be read; check its permissions",
            "hidden/a.png: may not be read; check its permissions",
        )
        assert done.stdout.splitlines()[-1] == "1 done, 0 skipped, 2 failed"
        done = ifan("deblur", "open.png", "-o", "out", status=1, preexec_fn=like_any_user)
        (folder / "hidden").chmod(0o700)
        assert done.stderr.startswith("out/open.png: may not be written; check the permissions")
        assert names(folder / "out") == []

    def test_a_loop_of_links(self, ifan, save, folder):
        save("photos/good.png")
        loops = ["a.png", "photos/b.png"]
        for name in loops:
            (folder / name).symlink_to(folder / name)
        line = "{}: cannot be read (Too many levels of symbolic links); check the name and the disk"
        done = ifan("deblur", "a.png", status=1)
        assert done.stderr.splitlines() == [line.format("a.png")]
        done = ifan("deblur", "a.png", "photos", "-o", "out", status=1)
        assert done.stderr == failed(*map(line.format, loops))
        assert names(folder / "out") == ["good.png"]

    def test_a_pipe_is_not_waited_for(self, ifan, save, folder):
        save("good.png")
        os.mkfifo(folder / "pipe.png")
        done = ifan("deblur", ".", "-o", "out", status=1)
        lines = done.stderr.splitlines()
        assert lines[0].startswith("pipe.png: is no regular file; give a picture as JPEG, PNG, ")
        assert lines[1:] == ["failed:", lines[0]]
        assert names(folder / "out") == ["good.png"]

    def test_a_network_that_gives_no_numbers(self, ifan, save, folder):
        network = IFAN(width=1, iterations=1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(float("nan"))
        save_safetensors(folder / "nan.safetensors", network)
        save("a.png")
        save("b.png")
        done = ifan("deblur", ".", "--model", "nan.safetensors", "--engine", "torch", status=1)
        reason = "gave values that are not numbers; choose --precision fp32, or another model"
        assert done.stderr == failed(f"a.png: {reason}", f"b.png: {reason}")
        assert names(folder) == ["a.png", "b.png", "nan.safetensors"]

    @pytest.mark.parametrize("megabytes", [300, 1000])
    def test_memory_that_runs_out(self, save, folder, megabytes):
        """While the large photograph is read, or after that."""
        save("small.png")
        Image.new("RGB", (12_000, 12_000), (10, 90, 200)).save(folder / "large.png")
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, str(megabytes)],
            cwd=folder,
            env={**os.environ, "VIPS_CONCURRENCY": "1", "MALLOC_ARENA_MAX": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stderr == failed(
            "large.png: memory ran out; close other programs, or give a smaller picture"
        )
        assert done.returncode == 1
        assert done.stdout.splitlines()[-1] == "1 done, 0 skipped, 1 failed"
        assert names(folder / "out") == ["small.png"]

    def test_a_folder_without_photographs(self, ifan, save, folder):
        save("deep/deeper/a.png")
        save("b.png")
        done = ifan("deblur", "deep", "b.png", "-o", "out", status=1)
        assert done.stderr == failed(
            "deep: holds no photograph that can be read; "
            "check the name, or give --recursive to search its sub-folders"
        )
        assert names(folder / "out") == ["b.png"]

    @pytest.mark.parametrize(
        ("output", "line"),
        [
            ("file/a.png", "file: is a file, not a folder; give the name of a folder"),
            ("x" * 300 + ".png", "has too long a name; choose a shorter one"),
        ],
    )
    def test_targets_that_cannot_be(self, ifan, save, folder, output, line):
        save("a.png")
        (folder / "file").write_text("text")
        done = ifan("deblur", "a.png", "-o", output, status=1)
        assert len(done.stderr.splitlines()) == 1
        assert line in done.stderr
        assert names(folder) == ["a.png", "file"]

    def test_a_full_disk(self, ifan, save, folder):
        save("a.png")
        noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        save("noise.png", noise)
        limit = (8000, 8000)
        done = ifan(
            "deblur",
            *("noise.png", "a.png", "-o", "out"),
            status=1,
            environment={"PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        )
        assert done.stderr == failed(
            "out/noise.png: is larger than a file may be here; raise the limit or write elsewhere"
        )
        assert names(folder / "out") == ["a.png"]

    def test_the_traceback_is_there_for_those_who_ask(self, ifan):
        for arguments in (["deblur", "none.png"], ["deblur", "none.png", "--model", "none"]):
            assert "ifan.errors." in ifan(*arguments, "--debug", status=1).stderr
        assert ifan("--debug", "deblur", "none.png", status=1).stderr.startswith("Traceback")


class TestOptions:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "INPUT"),
            ([""], "the name is empty"),
            (["a.png", "-o", ""], "the name is empty"),
            (["a.png", "--engine", "abacus"], "openvino, torch, onnxruntime"),
            (["a.png", "--precision", "fp8"], "fp32, bf16, fp16"),
            (["a.png", "--working-size", "0"], "neither auto, full nor pixels"),
            (["a.png", "--working-size", "large"], "neither auto, full nor pixels"),
            (["a.png", "--passes", "3"], "'3' is none of 1, 2, 4, 8"),
            (["a.png", "--strength", "1.5"], "--strength"),
            (["a.png", "--strength", "nan"], "--strength"),
            (["a.png", "--no-such-option"], "--no-such-option"),
            (["a.png", "b.png", "--left", "a.png", "--right", "b.png"], "give one INPUT"),
            ([".", "--left", "a.png", "--right", "b.png"], "give one INPUT"),
            (["a.png", "--format", "gif"], "none of jpeg, png, tiff, webp, avif"),
            (["a.png", "--format", "raw"], "none of jpeg, png, tiff, webp, avif"),
            (["a.png", "--name", "{number}"], "a field other than {stem}"),
            (["a.png", "--name", "a/{stem}"], "is to be a name, not a path"),
            (["a.png", "--name", ""], "--name: the name is empty"),
            (["a.png", "-o", "b.png", "--name", "b"], "for results whose names are not given"),
            (["a.png", "-o", "a.gif"], "a.gif: .gif is no format that is written; give it one of"),
            (["a.png", "-o", "b.png", "--format", "jpeg"], "b.png: is no name for JPEG; end it"),
            ([".", "--name", "{stem}"], ".: would get results with the names of its photographs"),
            (["a.png", "--page", "0"], "--page"),
            (["a.png", "--max-pixels", "0"], "'0' is no number of pixels"),
            (["a.png", "--max-pixels", "2G"], "'2G' is no number of pixels"),
            (["a.png", "--report", "a.png"], "a.png: is there and is no report; give another"),
            (["a.png", "--report", "none/a"], "none/a: cannot be written (No such file or dir"),
        ],
    )
    def test_bad_use(self, ifan, save, folder, arguments, said):
        save("a.png")
        done = ifan("deblur", *arguments, status=2)
        assert said in done.stderr
        assert done.stdout == ""
        assert names(folder) == ["a.png"]

    def test_the_format_and_the_names_of_results(self, ifan, save, folder):
        for name in ("a.png", "a.jpg", "b.tif"):
            save(name)
        ifan("deblur", ".", "--format", "jpg", "--name", "sharp {stem}")
        results = ["sharp a-png.jpg", "sharp a.jpg", "sharp b.jpg"]
        assert names(folder) == ["a.jpg", "a.png", "b.tif", *results]
        for name in results:
            with Image.open(folder / name) as sharp:
                assert (sharp.format, sharp.size) == ("JPEG", (32, 24))
        done = ifan("deblur", ".", "--format", "jpeg", "--name", "sharp {stem}")
        assert done.stdout.splitlines()[-1] == "0 done, 3 skipped, 0 failed"

    def test_patterns(self, ifan, save, folder):
        for name in ("shoot/a.png", "shoot/deep/b.png", "shoot/deep/c.jpg"):
            save(name)
        ifan("deblur", "shoot/**/*.png", "-o", "out")
        assert names(folder / "out") == ["a.png", "deep/b.png"]
        done = ifan("deblur", "shoot/*.tif", status=1)
        assert done.stderr == "shoot/*.tif: matches no photograph; check the pattern\n"

    def test_a_page_and_a_limit(self, ifan, folder, picture):
        pages = [Image.fromarray(picture), Image.fromarray(picture[:8])]
        pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
        done = ifan("deblur", "pages.tif", status=1)
        assert done.stderr.startswith("pages.tif: has 2 pages; ")
        ifan("deblur", "pages.tif", "--page", "2", "--max-pixels", "256")
        assert load(folder / "pages.deblurred.tif").shape == (8, 32, 3)
        done = ifan(
            "deblur", "pages.tif", "--page", "1", "--max-pixels", "256", "-o", "x.png", status=1
        )
        assert done.stderr.startswith("pages.tif: has 32x24 pixels, more than 256 are not read")
        ifan("defocus-map", "pages.tif", "--page", "2", "--max-pixels", "1M", "-o", "map.png")
        assert load(folder / "map.png").shape == (8, 32, 3)

    def test_a_report(self, ifan, save, folder):
        save("a.png")
        (folder / "b.png").write_text("text")
        ifan("deblur", ".", "none.png", "-o", "out", "--report", "report.jsonl", status=1)
        ifan("deblur", "a.png", "-o", "out", "--report", "report.jsonl")
        lines = [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]
        assert [(line["source"], line["target"], line["status"]) for line in lines] == [
            ("a.png", "out/a.png", "done"),
            ("b.png", "out/b.png", "failed"),
            ("none.png", "out/none.png", "failed"),
            ("a.png", "out/a.png", "skipped"),
        ]
        assert [line["error"] for line in lines] == [None, "PictureError", "PictureError", None]
        assert lines[2]["reason"] == "does not exist"
        assert lines[2]["remedy"] == "check the name"
        assert lines[0]["seconds"] > 0

    def test_warnings_are_lines(self, ifan, save, picture):
        save("deep.png", picture[..., 0].astype(np.uint16) * 257)
        done = ifan("deblur", "deep.png", "--format", "jpeg")
        assert done.stderr == "deep.png: its 16 bits a channel have no place in JPEG\n"

    def test_models_that_cannot_be(self, ifan, save, folder):
        from safetensors.numpy import save_file

        save("a.png")
        (folder / "text.pth").write_text("hello")
        save_file({"conv1_1.0.weight": np.zeros((16, 3, 3, 3))}, folder / "other.safetensors")
        for model, reason in [
            ("text.pth", "text.pth: is "),
            ("other.safetensors", "other.safetensors: does not hold the weights of an IFAN: "),
            ("nothing", "nothing: is neither a file nor a model that is known; see the names: "),
        ]:
            done = ifan("deblur", "a.png", "--model", model, status=1)
            assert len(done.stderr.splitlines()) == 1
            assert done.stderr.startswith(reason)
        assert "a.deblurred.png" not in names(folder)

    def test_saying_what_runs_and_why(self, ifan, save):
        save("a.png")
        done = ifan("deblur", "a.png", "--verbose", "--engine", "openvino", "--precision", "fp32")
        assert done.stderr == "model ifan-s, engine openvino on cpu in fp32, because as asked\n"
        done = ifan("deblur", "a.png", "--overwrite", "-v")
        assert done.stderr.startswith("model ifan-s, engine ")
        assert ", because it " in done.stderr

    def test_another_engine_writes_the_same_picture(self, ifan, save, folder):
        save("a.png")
        ifan("deblur", "a.png", "--precision", "fp32")
        ifan("deblur", "a.png", "-o", "b.png", "--engine", "onnxruntime")
        pictures = [load(folder / name).astype(int) for name in ("a.deblurred.png", "b.png")]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1


class TestStreams:
    def test_a_bar_on_a_terminal(self, save, folder):
        save("a.png")
        save("b.png")
        ours, theirs = pty.openpty()
        program = [sys.executable, "-m", "ifan", "deblur", "."]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        with Process(
            program, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            said = b""
            try:
                while piece := os.read(ours, 4096):
                    said += piece
            except OSError:  # how Linux says that the other end is closed
                pass
            os.close(ours)
        assert process.returncode == 0
        assert b"0 of 2" in said
        assert b"\x1b[" in said
        assert b"a.png -> a.deblurred.png" in said
        assert b"2 done, 0 skipped, 0 failed" in said

    def test_a_reader_that_goes_away(self, save, folder):
        save("a.png")
        save("b.png")
        with Process(
            [sys.executable, "-m", "ifan", "deblur", ".", "-o", "out"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            process.stdout.close()
            said = process.stderr.read()
        assert process.returncode != 0
        assert said == b""
        for name in names(folder / "out"):
            assert load(folder / "out" / name).shape == (24, 32, 3)

    def test_standard_output_that_is_closed(self, save, folder):
        save("a.png")
        command = f"exec '{sys.executable}' -m ifan deblur a.png >&-"
        done = subprocess.run(
            ["sh", "-c", command], cwd=folder, stderr=subprocess.PIPE, timeout=120, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert load(folder / "a.deblurred.png").shape == (24, 32, 3)

    def test_standard_output_that_is_full(self, save, folder):
        save("a.png")
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "ifan", "deblur", "a.png"],
                cwd=folder,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=120,
                check=False,
            )
        reason = "output: cannot be written (No space left on device); check where it goes\n"
        assert (done.returncode, done.stderr) == (1, reason)
        assert load(folder / "a.deblurred.png").shape == (24, 32, 3)

    @pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
    def test_names_that_cannot_be_printed(self, ifan, save, folder, encoding):
        photograph = save("z.png")
        for name in (b"gr\xfc\xdfe.png", "grüße.png".encode()):
            shutil.copy(photograph, os.fsencode(folder) + b"/" + name)
        environment = {"PYTHONIOENCODING": f"{encoding}:strict"}
        done = ifan("deblur", ".", "-o", "out", environment=environment)
        assert done.stdout.splitlines()[-1] == "3 done, 0 skipped, 0 failed"
        assert len(list((folder / "out").iterdir())) == 3

    @pytest.mark.parametrize(
        ("options", "advice"),
        [
            ([], "the same command goes on where this one was"),
            (["--overwrite"], "without --overwrite the same command goes on where this one was"),
        ],
    )
    def test_stopping_leaves_whole_files_only(self, save, folder, picture, options, advice):
        first = save("00.png", np.tile(picture, (12, 10, 1)))
        for number in range(1, 60):
            shutil.copy(first, folder / f"{number:02}.png")
        with Process(
            [sys.executable, "-m", "ifan", "deblur", ".", "-o", "out", *options],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where tests run in the background, interrupts may be switched off.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            for _ in range(600):
                if (folder / "out" / "01.png").exists():
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said == f"stopped; {advice}\n"
        results = names(folder / "out")
        assert 2 <= len(results) < 60
        assert results == [f"{number:02}.png" for number in range(len(results))]
        for name in results:
            assert load(folder / "out" / name).shape == (288, 320, 3)
