import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifan import Deblurrer, images
from ifan.errors import ModelError, OutputError
from ifan.worklist import Task, plan, run


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

    def test_a_missing_photograph_is_found_out_later(self):
        assert pairs(plan([Path("none.png")])) == [("none.png", "none.deblurred.png")]


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
        before = task.comparison.read_bytes(), task.target.stat()
        assert self.outcomes(deblurrer, [task], compare=True) == [("skipped", "")]
        task.comparison.unlink()
        # With no strength, a result made anew would be another.
        assert self.outcomes(deblurrer, [task], compare=True, strength=0) == [("done", "")]
        assert (task.comparison.read_bytes(), task.target.stat()) == before

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
        function, calls = images.side_by_side, []

        def fails_at_first(*arguments):
            calls.append(arguments)
            if len(calls) == 1:
                raise MemoryError
            return function(*arguments)

        monkeypatch.setattr(images, "side_by_side", fails_at_first)
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

    def test_a_model_that_cannot_be_used_is_an_error_of_the_run(self):
        Path("text.pth").write_text("no weights")
        broken = Deblurrer("text.pth")
        with pytest.raises(ModelError, match=r"text\.pth"):
            list(run(broken, [Task(Path("first.png"), Path("a.png"))]))
        assert not Path("a.png").exists()
