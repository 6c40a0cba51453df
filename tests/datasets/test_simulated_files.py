import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFilter
from typer.testing import CliRunner

from ifan import IfanError, __version__
from ifan.commands.program import app
from ifan.datasets.simulated import SceneSimulator
from ifan.datasets.writing import SceneRequest, Work, running
from ifan.datasets.writing.sources import Shelf, read_depth, read_pixels
from processes import Process

SCENES = 30
SOURCES = ["train_c/source", "train_l/source", "train_r/source"]
TARGETS = ["train_c/target", "train_l/target", "train_r/target"]
COMMAND = ["data", "simulate", "--photos", "photos", "--out", "out", "--size", "64"]


@pytest.fixture
def place(tmp_path, photographs, monkeypatch):
    """The current folder, with a folder of photographs in it."""
    monkeypatch.chdir(tmp_path)
    save_photographs(photographs)
    return tmp_path


@pytest.fixture
def alone(monkeypatch):
    """Work is done in this process: starting others takes seconds."""
    monkeypatch.setattr(
        running,
        "in_processes",
        lambda work, tasks, _processes, _stopped: (work(task) for task in tasks),
    )


@pytest.fixture(scope="module")
def undisturbed(photographs, tmp_path_factory):
    """What a run in one process says, and its files."""
    with contextlib.chdir(tmp_path_factory.mktemp("undisturbed")):
        save_photographs(photographs)
        return simulated("--processes", 1), files("out")


def save_photographs(photographs):
    Path("photos/deep").mkdir(parents=True)
    for name, pixels in zip(("deep/c.tif", "a.png", "b.png"), photographs, strict=True):
        Image.fromarray(pixels).save(Path("photos", name))


def started(*options, scenes=SCENES, program=("-m", "ifan")):
    return Process(
        [sys.executable, *program, *COMMAND, "--scenes", str(scenes), *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where tests run in the background, interrupts may be switched off.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def simulated(*options, status=0, **more):
    """Run the command and return what it said."""
    with started(*options, **more) as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == status, (output, errors)
    assert "Traceback" not in errors
    return output, errors


def files(folder):
    """The bytes of all files below a folder, by name."""
    folder = Path(folder)
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def request_for(**settings):
    return SceneRequest(**({"version": __version__, "scenes": SCENES, "size": 64} | settings))


def worked(depths=None, out="out", **settings):
    """Judge and make; return what was said of photographs."""
    work = Work(Path("photos"), Path(out), request_for(**settings), depths=depths)
    findings = list(work.judge())
    list(work.make())
    return [finding.refusal for finding in findings if finding.refusal]


def refusal(depths=None, photos="photos", **settings):
    """What a run is refused with, before anything is made."""

    def run():
        work = Work(Path(photos), Path("out"), request_for(**settings), depths=depths)
        list(work.judge())

    with pytest.raises(IfanError) as caught:
        run()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_any_number_of_processes_makes_the_same_files(place, undisturbed):
    said = f"out: {SCENES} scenes of 3 photographs, 0 left out\n", ""
    assert undisturbed[0] == said
    assert simulated("--processes", 2) == said
    assert files("out") == undisturbed[1]


def test_it_is_laid_out_as_dpdd_with_the_truth_beside(place, alone):
    worked(bits=16, scenes=3)
    for folder in (*SOURCES, *TARGETS):
        names = sorted(path.name for path in Path("out", folder).iterdir())
        assert names == ["000000.png", "000001.png", "000002.png"]
    simulator = SceneSimulator(
        [read_pixels(Path("photos", name)) for name in ("a.png", "b.png", "deep/c.tif")],
        request_for(bits=16).simulation(),
    )
    for index in range(3):
        scene = simulator.scene(index)
        views = (scene.center, scene.left, scene.right)
        expected = dict(zip((*SOURCES, *TARGETS), (*views, *[scene.target] * 3), strict=True))
        for folder, picture in expected.items():
            pixels = read_png16(Path("out", folder, f"{index:06}.png"))
            np.testing.assert_array_equal(pixels, np.rint(picture * 65535))
        coc = tifffile.imread(f"out/train_c/coc/{index:06}.tif")
        assert coc.dtype == np.float32
        np.testing.assert_array_equal(coc, scene.coc)


def read_png16(path):
    import pyvips

    return pyvips.Image.new_from_file(str(path)).numpy()


def test_settings_and_a_sheet_to_look_at_lie_beside(place, alone):
    Path("photos/broken.jpg").write_bytes(b"\xff\xd8\xff")
    worked(scenes=2, seed=5)
    settings = json.loads(Path("out/settings.json").read_text())
    assert (settings["ifan"], settings["scenes"], settings["seed"]) == (__version__, 2, 5)
    assert [entry["name"] for entry in settings["photographs"]] == ["a.png", "b.png", "deep/c.tif"]
    assert settings["left_out"] == ["broken.jpg"]
    assert str(place) not in str(settings)
    with Image.open("out/contact-sheet.jpg") as sheet:
        assert sheet.size == (3 * 68, 2 * 68)
        shown = np.asarray(sheet).astype(float)
    for column, folder in enumerate(("source", "target")):
        with Image.open(f"out/train_c/{folder}/000001.png") as picture:
            cell = shown[68 : 68 + 64, 68 * column : 68 * column + 64]
            assert np.abs(cell - np.asarray(picture)).mean() < 6


def test_a_killed_run_is_continued_with_the_same_result(place, undisturbed):
    _, expected = undisturbed
    for count in (1, 10):
        with started("--processes", 2) as process:
            wait_for(count)
            process.kill()
        # Its helpers end with it, and nothing that has a name is half.
        there = {name: data for name, data in files_at_rest().items() if ".ifan-" not in name}
        assert there.items() <= expected.items()
        assert count <= len(made()) < SCENES
    simulated("--processes", 2)
    Path("out/.ifan-0123456789abcdef.tmp").write_bytes(b"half a contact sheet")
    # On a busy machine a helper of the killed run may have ended just now: what it left goes next.
    simulated("--processes", 2)
    assert files("out") == expected


def test_ctrl_c_ends_it_in_one_line_and_the_next_run_goes_on(place):
    with started("--processes", 2, scenes=200) as process:
        wait_for(3)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert errors == "stopped; the same command goes on where this one was\n"
    before = files("out")
    assert 3 <= len(made()) < 200
    assert not [name for name in before if ".ifan-" in name]
    with started("--processes", 2, scenes=200) as process:
        wait_for(len(made()) + 3)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert before.items() <= files("out").items()


def made():
    return [path for path in Path("out/train_r/source").glob("*.png") if path.name[0] != "."]


def wait_for(count):
    """Wait until so many scenes are there."""
    deadline = time.monotonic() + 120
    while len(made()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def files_at_rest():
    """The files, once nobody writes any more."""
    before = None
    while before != (now := files("out")):
        before = now
        time.sleep(0.5)
    return now


def test_a_finished_run_has_nothing_left_to_do(place, alone):
    worked(scenes=2)
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    assert worked(scenes=2) == []
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == times
    Path("out/train_l/target/000001.png").unlink()
    worked(scenes=2)
    assert Path("out/train_l/target/000001.png").exists()


def test_more_scenes_are_added_as_if_they_had_been_asked_for_at_once(place, alone):
    worked(scenes=9, out="at-once")
    worked(scenes=2)
    first = Path("out/train_c/source/000001.png").stat()
    worked(scenes=9)
    assert Path("out/train_c/source/000001.png").stat() == first
    assert files("out") == files("at-once")


def test_fewer_scenes_than_there_are_are_refused(place, alone):
    worked(scenes=3)
    before = files("out")
    assert refusal(scenes=2) == (
        "out: is a set of 3 scenes, more than 2;"
        " ask for 3 or more, or give another folder for the scenes"
    )
    assert files("out") == before


def test_scenes_are_not_made_of_scenes(place, alone):
    worked(scenes=2, out="photos/scenes")
    worked(scenes=2)
    assert files("out") == files("photos/scenes")


def test_other_settings_and_other_photographs_are_refused(place, alone):
    worked(scenes=1)
    before = files("out")
    end = "; give the same, or another folder for the scenes"
    assert refusal(scenes=1, seed=1) == f"out: holds scenes with seed 0, not 1{end}"
    assert refusal(scenes=1, bits=16) == f"out: holds scenes with bits 8, not 16{end}"
    assert "holds scenes with ifan" in refusal(scenes=1, version="0.0")
    shutil.copy("photos/a.png", "photos/z.png")
    assert refusal(scenes=1) == f"out: holds scenes of other photographs{end}"
    Path("photos/z.png").rename("photos/b.png")
    line = f"out: holds scenes of other photographs, b.png for one{end}"
    assert refusal(scenes=1) == line
    assert files("out") == before


def test_a_folder_with_something_else_is_left_alone(place):
    Path("out").mkdir()
    Path("out/thesis.txt").write_text("years of work")
    line = "out: is not empty, and holds no simulated scenes; give another folder for the scenes"
    assert refusal() == line
    Path("out/thesis.txt").rename("out/settings.json")
    assert "out/settings.json: is not the settings file of simulated scenes" in refusal()
    assert files("out") == {"settings.json": b"years of work"}
    shutil.rmtree("out")
    Path("out").write_text("a file")
    assert refusal() == "out: is a file, not a folder; give the name of a folder"


def test_pictures_that_are_of_no_use_are_left_out(place, alone):
    with Image.open("photos/a.png") as sharp:
        sharp.filter(ImageFilter.GaussianBlur(2)).save("photos/soft.png")
    Path("photos/broken.jpg").write_bytes(b"nothing")
    Path("photos/notes.txt").write_text("no picture at all")
    done = CliRunner().invoke(app, [*COMMAND, "--scenes", "1"])
    assert done.stderr.splitlines() == [
        "photos/broken.jpg: is not a picture; broken.jpg is left out",
        "photos/soft.png: is not sharp; soft.png is left out",
    ]
    assert done.stdout == "out: 1 scenes of 3 photographs, 2 left out\n"


def test_a_folder_without_sharp_photographs_is_refused(place, alone):
    assert refusal(photos="nowhere").startswith("nowhere: cannot be read (No such file")
    Path("empty").mkdir()
    line = "empty: has no pictures in it; give a folder of sharp photographs"
    assert refusal(photos="empty") == line
    Image.new("RGB", (80, 80), "red").save("empty/red.png")
    line = (
        "empty: has no sharp photograph among its 1 pictures;"
        " give photographs that are in focus everywhere"
    )
    assert refusal(photos="empty") == line
    assert not Path("out").exists()


def test_depths_say_where_the_blur_is(place, alone, photographs):
    """Depths, and circles of confusion that are an affine function of their inverse, mean one."""
    height, width = photographs[0].shape[:2]
    depth = np.tile(np.linspace(1, 5, width, dtype=np.float32), (height, 1))
    save_maps("depths", depth)
    save_maps("cocs", 3 - 7 / depth)
    worked(scenes=4, depths=Path("depths"), out="by-depth")
    worked(scenes=4, depths=Path("cocs"))
    worked_maps = [sorted(Path(n, "train_c/coc").iterdir()) for n in ("by-depth", "out")]
    for one, other in zip(*worked_maps, strict=True):
        np.testing.assert_allclose(tifffile.imread(one), tifffile.imread(other), atol=0.02)
    shutil.rmtree("out")
    worked(scenes=4)
    assert files("out/train_c/coc") != files("by-depth/train_c/coc")


def save_maps(folder, values):
    Path(folder, "deep").mkdir(parents=True)
    for name in ("a.tif", "b.tiff", "deep/c.tif"):
        tifffile.imwrite(Path(folder, name), values.astype(np.float32))


def test_depths_that_do_not_fit(place, alone, photographs):
    depths = Path("depths")
    depths.mkdir()
    line = "depths: has no depth for any of the photographs; name depths as the photographs, a.tif"
    assert refusal(depths=depths).startswith(line)
    tifffile.imwrite("depths/a.tif", np.ones((8, 9), np.float32))
    tifffile.imwrite("depths/b.tif", np.zeros(photographs[0].shape[:2], np.float32))
    assert worked(scenes=1, depths=depths) == [
        "depths/a.tif: has 9x8 pixels, its photograph 260x220; a.png is left out",
        "depths/b.tif: has depths that are not positive; b.png is left out",
    ]
    Image.fromarray(photographs[0]).save("depths/b.png")
    assert "is there twice" in refusal(depths=depths)


def test_depths_in_colours_are_no_depths(tmp_path, photographs):
    Image.fromarray(photographs[0]).save(tmp_path / "a.png")
    with pytest.raises(IfanError, match="is in colours"):
        read_depth(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png"])
def test_photographs_become_rgb_of_8_bits(tmp_path, photographs, suffix):
    Image.fromarray(photographs[0]).convert("L").save(tmp_path / f"a{suffix}")
    pixels = read_pixels(tmp_path / f"a{suffix}")
    assert (pixels.shape, pixels.dtype) == (photographs[0].shape, np.uint8)


def test_no_more_photographs_are_kept_than_fit(photographs):
    read = []
    kept = Shelf(
        [Path("0"), Path("1"), Path("2"), None],
        lambda path: read.append(path.name) or photographs[int(path.name)],
        most_bytes=2 * photographs[0].nbytes,
    )
    assert len(kept) == 4
    assert kept[3] is None
    for number in (0, 1, 0, 2, 0, 1):
        assert kept[number] is photographs[number]
    assert read == ["0", "1", "2", "1"]


def test_without_numba_it_says_how_to_get_it(place):
    program = "import sys; sys.modules['numba'] = None; from ifan.commands import main; main()"
    _, errors = simulated(status=1, program=("-c", program))
    assert errors == "numba: is not installed; install it with: pip install 'ifan[train]'\n"
    assert not Path("out").exists()


def test_bad_use_is_told_apart(place):
    for options in (["--bits", "12"], ["--sharp", "2"], ["--size", "0"], ["--max-radius", "999"]):
        assert CliRunner().invoke(app, [*COMMAND, *options]).exit_code == 2
