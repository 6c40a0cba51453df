"""What one sees of a training."""

import csv
import sys

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ifan.errors import IfanError
from ifan.training.observing import KEPT_SAMPLES, NAMED_DAMAGE, Observer, in_a_row
from ifan.training.recipe import Recipe
from ifan.training.validation import Judged

JUDGED = [Judged(30.0, 0.9, 28.0, 0.5), Judged(32.0, 0.8, 28.0, 2.0)]


@pytest.fixture
def lines():
    return []


@pytest.fixture
def observe(tmp_path, lines):
    """Begins to observe a run of 100 updates, a row every two."""

    def begin(update=0, **options):
        observer = Observer(
            tmp_path, 100, lines.append, samples=tmp_path / "sample", every=2, **options
        )
        observer.begun(update)
        return observer

    return begin


def train(observer, first, last):
    for update in range(first, last + 1):
        observer.updated(update, {"deblurring": update / 10, "disparity": 1.0}, 0.5, 1e-4)


def rows(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def numbers(folder):
    return [int(row["update"]) for row in rows(folder)]


def pictures(value, names=("input", "output", "target", "warped", "reblurred")):
    small = ("warped", "reblurred")
    return {
        name: np.full((4 if name in small else 32,) * 2 + (3,), value, np.float32) for name in names
    }


def test_the_table_has_the_mean_losses_of_the_updates_since_the_row_before(observe, tmp_path):
    train(observe(), 1, 4)
    first, second = rows(tmp_path)
    assert (first["update"], first["deblurring"]) == ("2", "0.15")
    assert (second["update"], second["deblurring"]) == ("4", "0.35")
    assert (second["gradient_norm"], second["learning_rate"]) == ("0.5", "0.0001")
    assert float(second["seconds"]) >= 0


def test_rows_are_on_the_disk_before_the_run_ends(observe, tmp_path):
    train(observe(), 1, 2)  # and never closed, as when it is killed
    assert numbers(tmp_path) == [2]


def test_validation_scores_get_columns_of_their_own(observe, tmp_path):
    observer = observe()
    train(observer, 1, 2)
    observer.validated(2, JUDGED)
    train(observer, 3, 4)
    _, scores, after = rows(tmp_path)
    assert (scores["psnr"], scores["ssim"], scores["input_psnr"]) == ("31", "0.85", "28")
    assert (scores["gain_0_1px"], scores["gain_1_3px"]) == ("2", "4")
    assert scores["deblurring"] == after["psnr"] == ""


def test_what_is_blurred_more_than_all_bands_has_one_without_end_also_in_a_table_begun_before(
    observe, tmp_path
):
    observe().validated(2, JUDGED)
    observe(2).validated(4, [*JUDGED, Judged(25.0, 0.5, 20.0, 12.0), Judged(25.0, 0.5, 22.0, 99.0)])
    before, after = rows(tmp_path)
    assert (before["gain_1_3px"], before["gain_from_12px"]) == ("4", "")
    assert (after["gain_1_3px"], after["gain_from_12px"]) == ("4", "4")


def test_a_resumed_run_cuts_the_rows_that_it_will_write_again(observe, tmp_path):
    observer = observe()
    train(observer, 1, 2)
    observer.validated(2, JUDGED)
    train(observer, 3, 8)
    train(observe(4), 5, 6)
    assert numbers(tmp_path) == [2, 2, 4, 6]


def test_a_run_that_is_saved_between_rows_goes_on_without_a_gap(observe, tmp_path):
    observer = observe()
    train(observer, 1, 3)
    observer.saved(3)
    train(observe(3), 4, 4)
    assert [(row["update"], row["deblurring"]) for row in rows(tmp_path)] == [
        ("2", "0.15"),
        ("3", "0.3"),
        ("4", "0.4"),
    ]


def test_a_line_that_a_power_cut_left_incomplete_is_dropped(observe, tmp_path):
    train(observe(), 1, 4)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("3,0.")
    observe(4)
    assert numbers(tmp_path) == [2, 4]


def test_another_file_in_the_place_of_the_table_is_left_alone(observe, tmp_path):
    (tmp_path / "log.csv").write_text("name,price\napple,3\n")
    with pytest.raises(IfanError, match=r"log\.csv.*is not the table of a run.*move it"):
        observe()
    assert "apple" in (tmp_path / "log.csv").read_text()


def test_without_a_terminal_there_is_a_line_for_each_row_and_each_validation(observe, lines):
    observer = observe()
    train(observer, 1, 5)
    observer.validated(5, JUDGED)
    assert len(lines) == 3
    assert "update 4: deblurring 0.35000, disparity 1.00000" in lines[1]
    assert "updates/s" in lines[1]
    assert lines[1].endswith("left")
    assert "PSNR 31.000 dB (+3.000), SSIM 0.8500, gain_0_1px +2.00" in lines[2]


def test_on_a_terminal_every_update_is_shown_and_only_validations_are_lines(observe, lines):
    shown = []
    observer = observe(show=lambda update, text: shown.append((update, text)))
    train(observer, 1, 4)
    assert not lines
    assert [update for update, _ in shown] == [1, 2, 3, 4]
    assert "deblurring 0.10000" in shown[0][1]
    assert "deblurring 0.35000" in shown[3][1]


def test_time_for_validation_does_not_count_as_time_of_updates(observe, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    observer = observe()
    for update in (1, 2):
        clock[0] += 3
        train(observer, update, update)
        clock[0] += 100
        observer.validated(update, JUDGED)
    (row,) = (row for row in rows(tmp_path) if row["seconds"])
    assert row["seconds"] == "3"


def test_the_first_damaged_pictures_are_named_and_all_are_counted(observe, lines, tmp_path):
    observer = observe()
    for number in range(NAMED_DAMAGE + 7):
        observer.skipped(f"{number}.png: is damaged")
    train(observer, 1, 2)
    observer.close()
    assert sum("is damaged" in line for line in lines) == NAMED_DAMAGE
    assert lines[-1] == f"damaged pictures were left out {NAMED_DAMAGE + 7} times"
    assert rows(tmp_path)[0]["damaged"] == str(NAMED_DAMAGE + 7)


def test_pictures_of_a_sample_stand_side_by_side_in_one_size(observe, tmp_path):
    observer = observe()
    observer.sampled(1000, 0, pictures(0.25))
    with Image.open(tmp_path / "sample" / "0001000_0.jpg") as sample:
        width, height = sample.size
        assert height == 32
        assert 5 * 32 < width < 6 * 32
        assert abs(np.asarray(sample)[16, -16].astype(int) - 64).max() <= 2


def test_a_small_picture_is_enlarged_pixel_by_pixel():
    small = np.zeros((1, 2, 3), np.float32)
    small[0, 1] = 1
    row = in_a_row([np.ones((8, 16, 3), np.float32), small])
    assert (row[:, -16:-8] == 0).all()
    assert (row[:, -8:] == 255).all()


def test_only_the_samples_of_the_last_few_validations_stay(observe, tmp_path):
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "mine.jpg").touch()
    observer = observe()
    for update in range(1, KEPT_SAMPLES + 3):
        for number in (0, 1):
            observer.sampled(update, number, pictures(0.5, ("input", "output", "target")))
    left = sorted(path.name for path in (tmp_path / "sample").iterdir())
    assert len(left) == 2 * KEPT_SAMPLES + 1
    assert left[0] == "0000003_0.jpg"
    assert left[-1] == "mine.jpg"


def test_a_resumed_run_removes_samples_of_what_it_takes_back(observe, tmp_path):
    observer = observe()
    for update in (5, 9):
        observer.sampled(update, 0, pictures(0.5))
    observe(5)
    assert [path.name for path in (tmp_path / "sample").iterdir()] == ["0000005_0.jpg"]


def test_tensorboard_draws_losses_scores_and_samples_of_a_resumed_run_once(observe, tmp_path):
    observer = observe()
    train(observer, 1, 8)
    observer.close()
    observer = observe(4)
    train(observer, 5, 6)
    observer.validated(6, JUDGED)
    observer.sampled(6, 0, pictures(0.5))
    observer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [point.step for point in events.Scalars("training/deblurring")] == [2, 4, 6]
    assert events.Scalars("validation/psnr")[0].value == 31
    assert [picture.step for picture in events.Images("sample/0")] == [6]


def test_without_its_package_weights_and_biases_is_refused_with_a_remedy(observe, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(IfanError, match=r"not installed.*pip install .ifan\[wandb\]"):
        observe(wandb=Recipe())
