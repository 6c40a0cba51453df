import os
import shutil
import weakref
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifan import Deblurrer
from ifan.errors import ModelError, OutputError
from ifan.images import FORMATS, write_photograph
from ifan.worklist import STREAM, Task, plan, run, running


@pytest.fixture(scope="module")
def deblurrer():
    return Deblurrer(engine="onnxruntime")


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    """A folder with photographs, earlier results, and other things; the place where we stand."""
    picture = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "first.png")
    for name in (
        "photos/b.png",
        "photos/A.JPG",
        "photos/a.deblurred.png",
        "photos/a.deblurred.compare.png",
        "photos/a.compare.png",
        "photos/a.defocus.png",
        "photos/.hidden.png",
        "photos/deep/b.png",
        "photos/deep/deeper/c.tif",
        "photos/.hidden/d.png",
        "empty/.keep.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "first.png", path)
    (tmp_path / "photos" / "notes.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def as_nobody():
    """Have the permissions of a user who has none of his own, if this is root, who has all."""
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


def pairs(tasks):
    return [(str(task.source), str(task.target)) for task in tasks]


class TestPlan:
    @pytest.mark.parametrize(
        ("output", "target"),
        [
            (None, "first.deblurred.png"),
            ("sharp.tif", "sharp.tif"),
            ("sharp", "sharp/first.png"),
            ("photos", "photos/first.png"),
        ],
    )
    def test_one_photograph(self, output, target):
        tasks = plan([Path("first.png")], Path(output) if output else None)
        assert pairs(tasks) == [("first.png", target)]

    def test_a_folder_with_dots_in_its_name_is_one_if_it_is_there(self, tree):
        (tree / "of.2024").mkdir()
        tasks = plan([Path("first.png")], Path("of.2024"))
        assert pairs(tasks) == [("first.png", "of.2024/first.png")]

    def test_several_photographs_go_to_a_folder(self):
        inputs = [Path("first.png"), Path("photos/b.png")]
        tasks = plan(inputs, Path("out"))
        assert [target for _, target in pairs(tasks)] == ["out/first.png", "out/b.png"]
        Path("of.2024").mkdir()
        tasks = plan(inputs, Path("of.2024"))
        assert [target for _, target in pairs(tasks)] == ["of.2024/first.png", "of.2024/b.png"]

    @pytest.mark.parametrize("inputs", [["first.png", "photos/b.png"], ["photos"]])
    def test_several_photographs_cannot_go_to_a_file(self, inputs):
        reason = (
            r"one\.jpg: is the name of a picture, and there are several results; give .* folder"
        )
        with pytest.raises(OutputError, match=reason):
            plan([Path(name) for name in inputs], Path("one.jpg"))

    @pytest.mark.parametrize("output", [None, "out", "one.jpg"])
    def test_a_photograph_that_is_given_twice_is_one(self, output):
        output = Path(output) if output else None
        once, twice = ([Path("first.png"), Path("./first.png")][:count] for count in (1, 2))
        assert plan(twice, output) == plan(once, output)

    @pytest.mark.parametrize("output", [None, Path("out")])
    @pytest.mark.parametrize("name", ["photos/b.png", "photos", "photos/*.png"])
    def test_a_photograph_that_is_spelled_in_two_ways_is_one(self, tree, output, name):
        once = plan([Path(name)], output, picture_format=FORMATS["JPEG"])
        spellings = [Path(name), tree / name, Path("photos/deep/../..", name)]
        assert plan(spellings, output, picture_format=FORMATS["JPEG"]) == once

    def test_a_link_to_a_photograph_has_a_result_of_its_own(self):
        Path("linked.png").symlink_to("first.png")
        tasks = plan([Path("first.png"), Path("linked.png")])
        assert [target for _, target in pairs(tasks)] == [
            "first.deblurred.png",
            "linked.deblurred.png",
        ]

    def test_a_photograph_of_a_folder_that_is_given_too_is_one(self):
        folder, photograph = Path("photos"), Path("photos/b.png")
        assert plan([folder, photograph]) == plan([folder])

    def test_a_folder_without_hidden_files_and_earlier_results(self):
        assert pairs(plan([Path("photos")])) == [
            ("photos/A.JPG", "photos/A.deblurred.JPG"),
            ("photos/b.png", "photos/b.deblurred.png"),
        ]

    def test_sub_folders_keep_their_structure(self):
        assert pairs(plan([Path("photos")], Path("out"), recursive=True)) == [
            ("photos/A.JPG", "out/A.JPG"),
            ("photos/b.png", "out/b.png"),
            ("photos/deep/b.png", "out/deep/b.png"),
            ("photos/deep/deeper/c.tif", "out/deep/deeper/c.tif"),
        ]

    def test_results_in_the_folder_that_is_searched_are_not_photographs(self):
        before = pairs(plan([Path("photos")], Path("photos/sharp"), recursive=True))
        shutil.copytree("photos/deep", "photos/sharp/deep")
        assert pairs(plan([Path("photos")], Path("photos/sharp"), recursive=True)) == before

    def test_a_loop_of_folders_is_not_followed(self, tree):
        before = pairs(plan([Path("photos")], Path("out"), recursive=True))
        (tree / "photos" / "deep" / "up").symlink_to(tree / "photos")
        (tree / "photos" / "self").symlink_to("self")
        assert pairs(plan([Path("photos")], Path("out"), recursive=True)) == before
        before = pairs(plan([Path("photos/**/*.png")], Path("out")))
        assert [target for _, target in before] == ["out/b.png", "out/deep/b.png"]

    @pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users and permissions")
    @pytest.mark.parametrize("given", ["photos", "photos/**/*.tif", "photos/d*/*/*"])
    def test_a_folder_that_may_not_be_searched_is_named(self, tree, given):
        tree.chmod(0o755)
        Path("photos/deep/closed").mkdir(mode=0)
        with as_nobody():
            tasks = plan([Path(given)], Path("out"), recursive=True)
        refused = [str(task.refusal) for task in tasks if task.refusal]
        assert refused == [
            "photos/deep/closed: could not be searched (Permission denied); check its permissions"
        ]
        assert Path("photos/deep/deeper/c.tif") in [task.source for task in tasks]

    def test_photographs_of_which_each_could_be_the_others_result_are_none(self):
        shutil.copy("first.png", "first.compare.png")
        given = [Path("first.png"), Path("first.compare.png")]
        assert [task.source for task in plan(given, name="first")] == given

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
    def test_a_pipe_is_not_waited_for(self):
        os.mkfifo("pipe")
        assert [task.source for task in plan([Path("pipe")], Path("out"))] == [Path("pipe")]

    @pytest.mark.parametrize("name", [None, "sharp {stem}"])
    @pytest.mark.parametrize("output", [None, Path("out")])
    def test_the_same_folder_again_is_the_same_work(self, output, name):
        first = plan([Path("photos")], output, name=name, recursive=True)
        self.write_results(first)
        assert plan([Path("photos")], output, name=name, recursive=True) == first

    @pytest.mark.parametrize("name", [None, "sharp {stem}"])
    def test_results_beside_photographs_are_none_when_a_shell_names_them_all(self, name):
        inputs = [Path("photos/A.JPG"), Path("photos/b.png")]
        first = plan(inputs, name=name)
        self.write_results(first)
        results = [path for task in first for path in (task.target, task.comparison)]
        assert plan([*results, *inputs], name=name) == first

    def write_results(self, tasks):
        for task in tasks:
            for result in (task.target, task.comparison):
                result.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy("first.png", result)

    def test_a_missing_photograph_is_found_out_later(self):
        assert pairs(plan([Path("none.png")])) == [("none.png", "none.deblurred.png")]


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "sources"),
        [
            ("*.png", ["first.png"]),
            ("f?rst.*", ["first.png"]),
            ("photos/*", ["photos/A.JPG", "photos/b.png", "photos/deep/b.png"]),
            ("photos/[aA].*", ["photos/A.JPG"]),
            ("photos/**/*.png", ["photos/b.png", "photos/deep/b.png"]),
            ("**/b.png", ["photos/b.png", "photos/deep/b.png"]),
            ("photos/*/*/c.*", ["photos/deep/deeper/c.tif"]),
            ("photos/deep/**", ["photos/deep/b.png", "photos/deep/deeper/c.tif"]),
            ("./phot*/../first.png", ["photos/../first.png"]),
        ],
    )
    def test_stand_for_photographs_and_folders(self, pattern, sources):
        assert [str(task.source) for task in plan([Path(pattern)])] == sources

    def test_may_be_absolute(self, tree):
        found = plan([tree / "photos" / "**" / "*.png"], Path("out"))
        assert [target for _, target in pairs(found)] == ["out/b.png", "out/deep/b.png"]

    def test_that_are_the_name_of_a_file_are_that_file(self):
        shutil.copy("first.png", "[f]irst.png")
        shutil.copy("first.png", "irst.png")
        assert pairs(plan([Path("[f]irst.png")])) == [("[f]irst.png", "[f]irst.deblurred.png")]

    def test_may_begin_with_a_folder_that_looks_like_one(self):
        shutil.copytree("photos/deep", "photos [2]")
        found = plan([Path("photos [2]/**/*.png"), Path("photos [2]/b.*")], Path("out"))
        assert pairs(found) == [("photos [2]/b.png", "out/b.png")]

    @pytest.mark.parametrize("pattern", ["none*", "photos/*.txt", "first.png/*", "empty/*", "x/**"])
    def test_that_match_nothing_are_refused(self, pattern):
        for output in (None, Path("out")):
            (task,) = plan([Path(pattern)], output)
            assert str(task.refusal) == f"{pattern}: matches no photograph; check the pattern"

    def test_leave_out_the_folder_of_results(self):
        before = plan([Path("photos/**/*.png")], Path("photos/sharp"))
        shutil.copytree("photos/deep", "photos/sharp/deep")
        assert plan([Path("photos/**/*.png")], Path("photos/sharp")) == before


class TestNames:
    @pytest.mark.parametrize(
        ("name", "output", "target"),
        [
            ("{stem}-sharp", None, "first-sharp.png"),
            ("{stem}-sharp", "out", "out/first-sharp.png"),
            ("{{{stem}}}", "out", "out/{first}.png"),
            ("{stem} {stem}", None, "first first.png"),
            ("result", None, "result.png"),
        ],
    )
    def test_follow_the_pattern(self, name, output, target):
        (task,) = plan([Path("first.png")], Path(output) if output else None, name=name)
        assert str(task.target) == target

    @pytest.mark.parametrize(
        "name",
        [
            *("", " ", "{}", "{0}", "{name}", "{stem", "stem}", "{stem!r}", "{stem:9}", "{stem.x}"),
            *("a/{stem}", "a\\{stem}", "{stem}\0", "/"),
        ],
    )
    def test_that_are_none(self, name):
        with pytest.raises(ValueError, match=r".+"):
            plan([Path("first.png")], name=name)

    @pytest.mark.parametrize("output", ["a.png", "-"])
    def test_are_not_for_results_that_have_one(self, output):
        with pytest.raises(ValueError, match="names are not given"):
            plan([Path("first.png")], Path(output), name="{stem}")

    def test_of_results_are_no_names_of_photographs(self):
        for given, output in (("photos", None), ("photos", "photos"), ("photos/*", "photos")):
            with pytest.raises(OutputError, match="results with the names of its photographs"):
                plan([Path(given)], Path(output) if output else None, name="{stem}")

    def test_make_no_results_of_photographs_that_look_like_some(self):
        for name in ("IMG_1.png", "IMG_2.png", "B_sharp.png"):
            shutil.copy("first.png", f"photos/deep/{name}")
        for name in ("IMG_{stem}", "{stem}_sharp"):
            sources = [task.source.name for task in plan([Path("photos/deep")], name=name)]
            assert sources == ["B_sharp.png", "IMG_1.png", "IMG_2.png", "b.png"]


class TestFormats:
    def test_give_the_suffix(self):
        for source, name, target in (
            ("a.PNG", None, "a.deblurred.PNG"),
            ("a.heic", None, "a.deblurred.jpg"),
            ("a.NEF", None, "a.deblurred.tif"),
            ("a.jxl", None, "a.deblurred.png"),
            ("a.jpeg", "JPEG", "a.deblurred.jpeg"),
            ("a.JPG", "WebP", "a.deblurred.webp"),
            ("a", None, "a.deblurred"),
            ("a.txt", "AVIF", "a.deblurred.avif"),
        ):
            (task,) = plan([Path(source)], picture_format=FORMATS[name] if name else None)
            assert str(task.target) == target

    @pytest.mark.parametrize(
        ("names", "picture_format", "targets"),
        [
            (["I.HEIC", "I.JPG"], "JPEG", ["I-heic.jpg", "I.JPG"]),
            (["I.HEIC", "I.JPG", "i.png"], "JPEG", ["I-heic.jpg", "I.JPG", "i-png.jpg"]),
            (["I.HEIC", "I.JPG"], None, ["I-heic.jpg", "I.JPG"]),
            (["I.HEIC", "I.JPG"], "PNG", ["I-heic.png", "I-jpg.png"]),
            (["I.dng", "I.jpg"], None, ["I.tif", "I.jpg"]),
            (["I.jpeg", "I.jpg"], "JPEG", ["I.jpeg", "I.jpg"]),
            (["I.jpg", "i.JPG"], None, ["I.jpg", "i-2.JPG"]),
            (["I-heic.JPG", "I.heic", "I.jpg"], None, ["I-heic.JPG", "I-heic-2.jpg", "I.jpg"]),
        ],
    )
    def test_that_make_one_name_of_two_do_no_harm(self, names, picture_format, targets):
        chosen = FORMATS[picture_format] if picture_format else None
        for output, infix in ((Path("out"), ""), (None, ".deblurred")):
            found = plan([Path(name) for name in names], output, picture_format=chosen)
            wanted = [f"{Path(name).stem}{infix}{Path(name).suffix}" for name in targets]
            assert [task.target.name for task in found] == wanted
            backwards = plan([Path(n) for n in names[::-1]], output, picture_format=chosen)
            if not any("-2" in target for target in targets):
                assert set(backwards) == set(found)

    def test_a_photograph_that_is_found_twice_is_one(self):
        shutil.copy("first.png", "photos/b.webp")
        once = plan([Path("photos")], picture_format=FORMATS["PNG"])
        assert [task.target.name for task in once][1:] == [
            "b.deblurred.png",
            "b-webp.deblurred.png",
        ]
        assert plan([Path("photos"), Path("photos/b.webp")], picture_format=FORMATS["PNG"]) == once

    def test_that_the_name_of_the_result_contradicts(self):
        with pytest.raises(OutputError, match=r"a\.png: is no name for JPEG; end it with \.jpg"):
            plan([Path("first.png")], Path("a.png"), picture_format=FORMATS["JPEG"])
        (task,) = plan([Path("first.png")], Path("a.JPEG"), picture_format=FORMATS["JPEG"])
        assert str(task.target) == "a.JPEG"


class TestStreams:
    def test_are_tasks_of_their_own(self):
        assert plan([STREAM]) == [Task(STREAM, STREAM)]
        assert plan([STREAM], Path("a.png")) == [Task(STREAM, Path("a.png"))]
        (task,) = plan([Path("first.png")], STREAM, picture_format=FORMATS["TIFF"])
        assert task == Task(Path("first.png"), STREAM, format="TIFF")

    @pytest.mark.parametrize(
        ("inputs", "output", "reason"),
        [
            (["-", "first.png"], None, "standard input: is given with other inputs"),
            (["first.png", "a.png"], "-", "standard output: takes one picture, and there are sev"),
            (["photos"], "-", "standard output: takes one picture"),
            (["*.png"], "-", "standard output: takes one picture"),
            (
                ["-"],
                "folder",
                "folder: has no suffix, and what comes from standard input has no na",
            ),
        ],
    )
    def test_that_cannot_be(self, inputs, output, reason):
        with pytest.raises(OutputError, match=reason):
            plan([Path(name) for name in inputs], Path(output) if output else None)


class TestRun:
    def outcomes(self, deblurrer, tasks, **options):
        return [
            (outcome.status, str(outcome.error or ""))
            for outcome in run(deblurrer, tasks, **options)
        ]

    def test_goes_on_after_failures(self, deblurrer):
        names = ["none.png", "photos/notes.txt", "photos/b.png"]
        found = self.outcomes(deblurrer, [Task(Path(n), Path(f"out/{n}.png")) for n in names])
        assert [status for status, _ in found] == ["failed", "failed", "done"]
        assert "none.png: does not exist" in found[0][1]
        assert "notes.txt: is not a picture" in found[1][1]
        assert Path("out/photos/b.png.png").exists()

    def test_what_is_there_stays_unless_it_is_to_be_replaced(self, deblurrer):
        task = Task(Path("first.png"), Path("out/first.png"))
        assert self.outcomes(deblurrer, [task], strength=0) == [("done", "")]
        result = task.target.read_bytes()
        assert self.outcomes(deblurrer, [task]) == [("skipped", "")]
        assert task.target.read_bytes() == result
        assert self.outcomes(deblurrer, [task], overwrite=True) == [("done", "")]
        assert task.target.read_bytes() != result

    @pytest.mark.parametrize("compare", [False, True])
    @pytest.mark.parametrize("step", ["read_photograph", "write_photograph"])
    def test_what_another_run_has_written_meanwhile_is_skipped(
        self, deblurrer, monkeypatch, step, compare
    ):
        task = Task(Path("first.png"), Path("out/a.png"))
        function, others = getattr(running, step), []

        def is_late(*arguments, **options):
            if not others:
                others.append("at work")
                others[:] = self.outcomes(deblurrer, [task], compare=compare, strength=0)
            return function(*arguments, **options)

        monkeypatch.setattr(running, step, is_late)
        assert self.outcomes(deblurrer, [task], compare=compare) == [("skipped", "")]
        assert others == [("done", "")]
        assert np.array_equal(*(np.asarray(Image.open(path)) for path in (task[:2])))

    def test_a_comparison_is_made_of_the_result_that_another_run_has_written_meanwhile(
        self, deblurrer, monkeypatch
    ):
        task = Task(Path("first.png"), Path("a.png"))

        def is_late(photograph, path, **options):
            if path == task.target:
                shutil.copy("first.png", "a.png")
            write_photograph(photograph, path, **options)

        monkeypatch.setattr(running, "write_photograph", is_late)
        assert self.outcomes(deblurrer, [task], compare=True) == [("done", "")]
        with Image.open(task.comparison) as both:
            left, right = (both.crop((at, 0, at + 16, 16)).tobytes() for at in (0, 18))
        assert left == right

    def test_a_missing_photograph_is_no_skipped_one(self, deblurrer):
        task = Task(Path("none.png"), Path("first.png"))
        ((status, error),) = self.outcomes(deblurrer, [task])
        assert status == "failed"
        assert error.startswith(("none.png", "first.png"))

    def test_two_photographs_for_one_result(self, deblurrer):
        tasks = plan([Path("photos/b.png"), Path("photos/deep/b.png")], Path("out"))
        for overwrite in (False, True):
            found = self.outcomes(deblurrer, tasks, overwrite=overwrite)
            assert found[0][1] == ""
            assert found[1][0] == "failed"
            assert (
                "photos/deep/b.png: would get the same result file as photos/b.png" in found[1][1]
            )

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_no_photograph_of_the_run_is_replaced(self, deblurrer, tree, overwrite):
        (tree / "linked").symlink_to(tree / "photos")
        before = {path: path.read_bytes() for path in tree.rglob("*.png")}
        tasks = [
            Task(Path("first.png"), Path("first.png")),
            Task(Path("photos/b.png"), Path("linked/b.png")),
            # Its result would replace a photograph whose turn comes later.
            Task(Path("photos/deep/b.png"), Path("photos/A.JPG")),
            Task(Path("photos/A.JPG"), Path("out/a.png")),
        ]
        found = [status for status, _ in self.outcomes(deblurrer, tasks, overwrite=overwrite)]
        assert found == ["failed", "failed", "failed" if overwrite else "skipped", "done"]
        assert all(path.read_bytes() == content for path, content in before.items())

    def test_no_comparison_replaces_a_photograph(self, deblurrer):
        photograph = Path("photos/a.compare.png")
        before = photograph.read_bytes()
        task = Task(photograph, Path("photos/a.png"))
        found = self.outcomes(deblurrer, [task], compare=True, overwrite=True)
        assert found[0][0] == "failed"
        assert photograph.read_bytes() == before

    @pytest.mark.parametrize("first", ["a.png", "a.compare.png"])
    def test_no_comparison_replaces_another_result(self, deblurrer, first):
        names = ["a.png", "a.compare.png"] if first == "a.png" else ["a.compare.png", "a.png"]
        for name in names:
            shutil.copy("first.png", name)
        tasks = plan([Path(name) for name in names], Path("out"))
        found = self.outcomes(deblurrer, tasks, compare=True, overwrite=True)
        assert found[0] == ("done", "")
        assert found[1][0] == "failed"
        same = f"{names[1]}: would get the same result file as {first}: out/a.compare.png; "
        assert found[1][1].startswith(same)
        written = [tasks[0].target, tasks[0].comparison]
        assert sorted(Path("out").iterdir()) == sorted(written)

    def test_a_comparison_is_made_of_a_result_that_is_there(self, deblurrer):
        task = Task(Path("first.png"), Path("out/a.png"))
        assert self.outcomes(deblurrer, [task], compare=True) == [("done", "")]
        before = task.comparison.read_bytes(), task.target.stat().st_mtime_ns
        assert self.outcomes(deblurrer, [task], compare=True) == [("skipped", "")]
        task.comparison.unlink()
        # With no strength, a result made anew would be another.
        assert self.outcomes(deblurrer, [task], compare=True, strength=0) == [("done", "")]
        assert (task.comparison.read_bytes(), task.target.stat().st_mtime_ns) == before

    @pytest.mark.parametrize("suffix", ["png", "webp"])
    def test_a_comparison_of_grey_is_made_in_a_format_without_grey(self, deblurrer, suffix):
        with Image.open("first.png") as picture:
            picture.convert("L").save("grey.png")
        task = Task(Path("grey.png"), Path(f"out/a.{suffix}"))
        assert self.outcomes(deblurrer, [task]) == [("done", "")]
        assert self.outcomes(deblurrer, [task], compare=True) == [("done", "")]
        with Image.open(task.comparison) as both:
            assert both.size == (2 * 16 + 2, 16)

    def test_no_comparison_with_what_is_not_the_result(self, deblurrer):
        Image.new("RGB", (5, 5)).save("other.png")
        Path("text.png").write_text("text")
        for name in ("other.png", "text.png"):
            found = self.outcomes(deblurrer, [Task(Path("first.png"), Path(name))], compare=True)
            assert found[0][0] == "failed"
            assert found[0][1].startswith(f"{name}: is not ")
        assert not list(Path().glob("*.compare.png"))

    @pytest.mark.parametrize("there", [False, True])
    def test_goes_on_after_memory_ran_out(self, deblurrer, monkeypatch, there):
        tasks = plan([Path("first.png"), Path("photos/b.png")], Path("out"))
        if there:  # then only the comparisons are to be made
            assert self.outcomes(deblurrer, tasks, strength=0) == [("done", "")] * 2
        function, calls = running.side_by_side, []

        def fails_at_first(*arguments):
            calls.append(arguments)
            if len(calls) == 1:
                raise MemoryError
            return function(*arguments)

        monkeypatch.setattr(running, "side_by_side", fails_at_first)
        found = self.outcomes(deblurrer, tasks, compare=True)
        assert [status for status, _ in found] == ["failed", "done"]
        assert found[0][1].startswith("first.png: memory ran out; ")

    def test_goes_on_after_a_loop_of_links(self, deblurrer):
        Path("loop.png").symlink_to("loop.png")
        tasks = plan([Path("loop.png"), Path("first.png")], Path("out"))
        found = self.outcomes(deblurrer, tasks)
        assert [status for status, _ in found] == ["failed", "done"]
        assert found[0][1].startswith("loop.png: cannot be read (")

    def test_a_comparison_has_both_pictures_and_a_gap(self, deblurrer):
        task = Task(Path("first.png"), Path("out/a.png"))
        assert self.outcomes(deblurrer, [task], compare=True) == [("done", "")]
        with Image.open("out/a.compare.png") as both, Image.open("out/a.png") as sharp:
            assert both.size == (2 * 16 + 2, 16)
            assert np.array_equal(np.asarray(both)[:, 18:], np.asarray(sharp))

    def test_an_error_that_nobody_foresaw_is_told_and_the_rest_is_done(
        self, deblurrer, monkeypatch
    ):
        def fails(photograph, path, **options):
            if photograph.path.name == "b.png":
                raise KeyError("slot")
            write_photograph(photograph, path, **options)

        monkeypatch.setattr(running, "write_photograph", fails)
        tasks = plan([Path("photos/b.png"), Path("first.png")], Path("out"))
        found = self.outcomes(deblurrer, tasks)
        reason = (
            "photos/b.png: unexpected KeyError: 'slot'; see where with: ifan deblur FILE --debug"
        )
        assert found == [("failed", reason), ("done", "")]

    def test_a_failure_holds_no_picture(self, deblurrer, monkeypatch):
        def fails(photograph, path, **options):
            held.append(weakref.ref(photograph))
            raise OutputError(path, "cannot be", "do not try")

        held = []
        monkeypatch.setattr(running, "write_photograph", fails)
        outcomes = list(run(deblurrer, plan([Path("first.png"), Path("photos/b.png")], Path("o"))))
        assert [outcome.status for outcome in outcomes] == ["failed"] * 2
        assert [photograph() for photograph in held] == [None] * 2

    def test_refused_tasks_fail_and_the_rest_is_done(self, deblurrer):
        tasks = plan([Path("none*"), Path("empty"), Path("first.png")], Path("out"))
        found = self.outcomes(deblurrer, tasks)
        assert [status for status, _ in found] == ["failed", "failed", "done"]
        assert found[0][1].startswith("none*: matches no photograph")
        assert found[1][1].startswith("empty: holds no photograph")

    @pytest.mark.parametrize("compare", [False, True])
    def test_what_killed_runs_left_is_removed_from_the_folders_of_results(self, deblurrer, compare):
        tasks = plan([Path("photos")], Path("out"), recursive=True)
        left = [folder / ".ifan-0123456789abcdef.tmp" for folder in (Path("out/deep"), Path())]
        Path("out/deep").mkdir(parents=True)
        for path in left:
            path.write_bytes(b"half")
        for _ in range(2):
            self.outcomes(deblurrer, tasks, compare=compare)
            assert [path.exists() for path in left] == [False, True]
            left[0].write_bytes(b"half")

    def test_an_empty_file_is_no_result(self, deblurrer):
        Path("a.png").touch()
        ((status, error),) = self.outcomes(deblurrer, [Task(Path("first.png"), Path("a.png"))])
        assert (status, error) == (
            "failed",
            "a.png: already exists; give --overwrite or another name",
        )

    def test_a_photograph_that_is_too_large_or_has_no_such_page(self, deblurrer):
        tasks = [Task(Path("first.png"), Path("a.png"))]
        ((_, error),) = self.outcomes(deblurrer, tasks, max_pixels=255)
        assert error.startswith("first.png: has 16x16 pixels, more than 255 are not read")
        ((_, error),) = self.outcomes(deblurrer, tasks, page=2)
        assert error.startswith("first.png: has 1 page, not 2")
        assert self.outcomes(deblurrer, tasks, page=1, max_pixels=256) == [("done", "")]

    def test_a_comparison_with_a_result_of_fewer_bits(self, deblurrer):
        deep = np.random.default_rng(1).integers(0, 65536, (16, 16), dtype=np.uint16)
        Image.fromarray(deep).save("deep.png")
        (task,) = plan([Path("deep.png")], picture_format=FORMATS["JPEG"])
        assert self.outcomes(deblurrer, [task]) == [("done", "")]
        assert self.outcomes(deblurrer, [task], compare=True) == [("done", "")]
        with Image.open("deep.deblurred.compare.jpg") as both:
            assert both.size == (2 * 16 + 2, 16)

    def test_says_how_long_each_took(self, deblurrer):
        tasks = plan([Path("first.png"), Path("photos/b.png"), Path("none.png")], Path("out"))
        assert all(0 < outcome.seconds < 60 for outcome in run(deblurrer, tasks))

    def test_a_strength_that_is_none(self, deblurrer):
        with pytest.raises(ValueError, match="strength 2 is not between 0 and 1"):
            next(run(deblurrer, [], strength=2))

    def test_a_model_that_cannot_be_used_is_an_error_of_the_run(self):
        Path("text.pth").write_text("no weights")
        broken = Deblurrer("text.pth")
        with pytest.raises(ModelError, match=r"text\.pth"):
            list(run(broken, [Task(Path("first.png"), Path("a.png"))]))
        assert not Path("a.png").exists()


def test_one_name_for_several_is_refused_however_suffixes_are_written(deblurrer, tree):
    shutil.copy(tree / "first.png", tree / "photos/d.PNG")
    tasks = plan([Path("photos/b.png"), Path("photos/d.PNG")], Path("out"), name="x")
    first, second = run(deblurrer, tasks)
    assert (first.status, second.status) == ("done", "failed")
    assert "would get the same result file as photos/b.png" in str(second.error)


def test_a_new_folder_may_have_a_dot_in_its_name(tree):
    found = plan([Path("photos")], Path("2024.06"))
    assert pairs(found)[0] == ("photos/A.JPG", "2024.06/A.JPG")


def test_a_file_called_as_the_stream_is_not_the_result(tree):
    Path("-").write_text("something else")
    assert not running._has_result(Task(Path("first.png"), STREAM))


def test_a_comparison_too_wide_for_its_format_is_refused_before_the_work(deblurrer, tree):
    Image.new("RGB", (8192, 2)).save("wide.webp", lossless=True)
    (outcome,) = run(deblurrer, plan([Path("wide.webp")], Path("out")), compare=True)
    assert "WebP ends at 16383 pixels a side, this has 16425" in str(outcome.error)
    assert not Path("out/wide.webp").exists()
