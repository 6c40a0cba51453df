import csv
import json
import math
import re
import shutil

import numpy as np
import pytest
from sets import save, scene
from skimage.metrics import peak_signal_noise_ratio

from ifan.datasets.testing import open_test_set
from ifan.errors import IfanError
from ifan.evaluation.methods import FolderMethod
from ifan.evaluation.output import write_results
from ifan.evaluation.protocol import Protocol, open_protocol
from ifan.evaluation.running import Evaluation
from ifan.evaluation.summary import summarise
from ifan.worklist.faults import told


def sources(root):
    return root / "DPDD/test_c/source"


def targets(root):
    return root / "DPDD/test_c/target"


def test_pictures_of_any_program_are_scored(dpdd, score):
    evaluation = score(sources(dpdd), dpdd)
    # Against the definition, on pixels that another library reads.
    for record in evaluation.in_order:
        blurred, sharp = scene(record.number - 1, np.uint16)
        # What is scored is read in all its bits, its target in the 8 of the protocol.
        result, target = blurred[:40, :56] / 65535, (sharp[:40, :56] >> 8) / 255
        expected = peak_signal_noise_ratio(target, result, data_range=1)
        assert record.scores.psnr == pytest.approx(expected, abs=1e-4)
        assert record.name == f"1P0A{916 + record.number:04d}"


def test_results_may_have_the_size_that_is_scored_or_the_whole(dpdd, score, tmp_path):
    for number in range(3):
        blurred = scene(number, np.uint16)[0]
        save(blurred[:40, :56], tmp_path / f"cropped/{number}.png")
    whole, part = score(sources(dpdd), dpdd), score(tmp_path / "cropped", dpdd)
    assert [r.scores for r in whole.in_order] == [r.scores for r in part.in_order]


def test_the_protocol_decides_the_number(dpdd, score):
    seen = {}
    for name in ("ifan", "padded", "rounded", "gaussian"):
        (record, *_) = score(sources(dpdd), dpdd, protocol=open_protocol(name)).in_order
        seen[name] = record.scores
    assert seen["gaussian"].psnr == seen["ifan"].psnr
    assert seen["gaussian"].ssim != seen["ifan"].ssim
    assert len({scores.psnr for scores in seen.values()}) == 3


def test_a_picture_that_equals_its_target_is_infinitely_near(dpdd, score, tmp_path):
    # 8 bits that were cut out of 16 are the target as the protocol reads it.
    for number in range(3):
        save((scene(number, np.uint16)[1] >> 8).astype(np.uint8), tmp_path / f"done/{number}.png")
    evaluation = score(tmp_path / "done", dpdd)
    assert [record.scores.psnr for record in evaluation.in_order] == [math.inf] * 3
    report = write_results([evaluation], tmp_path, "ifan evaluate")
    assert "∞" in report.read_text()
    (method,) = json.loads(report.with_suffix(".json").read_text())["methods"]
    assert method["means"]["psnr"] == "Infinity"
    assert "PSNR: inf" in evaluation.write_scores().read_text()
    # What was noted is read again.
    assert score(tmp_path / "done", dpdd).in_order == evaluation.in_order


def test_what_was_scored_is_not_scored_again(dpdd, score):
    first = score(sources(dpdd), dpdd)
    assert len(first.done) == 3
    assert score(sources(dpdd), dpdd).done == []
    save(scene(9, np.uint16)[0], sources(dpdd) / "1P0A0918.png")
    assert [record.number for record in score(sources(dpdd), dpdd).done] == [2]
    assert len(score(sources(dpdd), dpdd, again=True).done) == 3
    assert len(score(sources(dpdd), dpdd, protocol=open_protocol("padded")).done) == 3


def test_a_run_that_was_stopped_goes_on(dpdd, score, tmp_path):
    method = FolderMethod(sources(dpdd), Protocol())
    test_set = open_test_set("DPDD", dpdd, views=False)
    running = Evaluation(method, test_set, Protocol(), tmp_path / "logs").run()
    assert next(running).number == 1
    running.close()
    assert [record.number for record in score(sources(dpdd), dpdd).done] == [2, 3]


def test_means_are_written_once_every_picture_is_scored(dpdd, score, tmp_path):
    method = FolderMethod(sources(dpdd), Protocol())
    test_set = open_test_set("DPDD", dpdd, views=False)
    stopped = Evaluation(method, test_set, Protocol(), tmp_path / "logs")
    assert len(list(stopped.run(stopped=lambda: len(stopped.records) == 1))) < 3
    stopped.write_scores()
    assert list(tmp_path.glob("logs/**/score*.txt")) == []
    done = score(sources(dpdd), dpdd)
    done.write_scores()
    latest, own = done.score_files(".txt")
    assert latest.read_text() == own.read_text()
    assert latest.read_text().count("[EVAL") == 3


def test_folders_of_one_name_keep_the_scores_of_their_own_runs(dpdd, score, tmp_path):
    for name, pictures in (("a", sources(dpdd)), ("b", sources(dpdd).with_name("target"))):
        shutil.copytree(pictures, tmp_path / name / "png")
        score(tmp_path / name / "png", dpdd).write_scores()
    first, second = sorted(tmp_path.glob("logs/**/png/DPDD/*/score.txt"))
    assert "[TOTAL png] PSNR: 5" in second.read_text()  # 16-bit targets, scored as 8-bit ones
    assert "[TOTAL png] PSNR: 5" not in first.read_text()


def test_results_never_go_among_the_pictures(dpdd):
    method = FolderMethod(sources(dpdd), Protocol())
    test_set = open_test_set("DPDD", dpdd, views=False)
    with pytest.raises(IfanError, match=r"source/logs: is among the pictures of .*source; "):
        Evaluation(method, test_set, Protocol(), sources(dpdd) / "logs")


def test_where_every_picture_failed_the_report_says_why(dpdd, score, tmp_path):
    for path in targets(dpdd).iterdir():
        path.write_bytes(b"")
    evaluation = score(sources(dpdd), dpdd)
    assert (
        evaluation.write_scores().read_text().splitlines()[-1]
        == "[TOTAL source] without 3 that failed"
    )
    report = write_results([evaluation], tmp_path, "ifan evaluate").read_text()
    assert report.count("png: is empty") == 3


def test_a_line_that_was_cut_short_is_done_anew(dpdd, score):
    first = score(sources(dpdd), dpdd)
    noted = first.run_folder.records
    noted.write_bytes(noted.read_bytes()[:-40])
    second = score(sources(dpdd), dpdd)
    assert [record.number for record in second.done] == [3]
    assert second.in_order == first.in_order


def test_a_bad_picture_is_named_and_the_rest_goes_on(dpdd, score, tmp_path):
    shutil.copytree(sources(dpdd), tmp_path / "made")
    (tmp_path / "made/1P0A0917.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    save(scene(1, np.uint16, 50, 60)[0], tmp_path / "made/1P0A0918.png")
    first, second, third = score(tmp_path / "made", dpdd).in_order
    assert "1P0A0917.png: is damaged or cut short" in first.error
    assert "1P0A0918.png: has 60x50 pixels, not 56x40; " in second.error
    assert third.scores is not None
    # It is tried again once it is mended.
    shutil.copy(sources(dpdd) / "1P0A0917.png", tmp_path / "made/1P0A0917.png")
    assert [r.number for r in score(tmp_path / "made", dpdd).done] == [1, 2]


def test_an_unexpected_fault_is_told_as_that_of_a_photograph(dpdd, score, monkeypatch):
    faults = [KeyError("slot"), MemoryError(), ValueError("nonsense")]
    coming = iter(faults)

    def fail(*_):
        raise next(coming)

    monkeypatch.setattr(FolderMethod, "make", fail)
    for record, fault in zip(score(sources(dpdd), dpdd).in_order, faults, strict=True):
        assert record.error == str(told(fault, sources(dpdd) / f"{record.name}.png"))


def test_another_part_is_scored_when_it_is_asked_for(ifan, tmp_path):
    for kind, pixels in zip(("source", "target"), scene(0), strict=True):
        save(pixels, tmp_path / "mine/val" / kind / "0.png")
    command = ("evaluate", "--data", "mine", "--predictions", "mine/val/source")
    assert "--split val" in ifan(*command, status=1).err
    said = ifan(*command, "--split", "val").out
    assert said.startswith("source on mine-val: 1 picture in 8 bits\n")
    assert list(tmp_path.glob("logs/**/score_mine-val.txt"))


def test_pairs_of_different_size_are_refused_by_name(dpdd, score):
    save(scene(0, np.uint16, 60, 45)[1], targets(dpdd) / "1P0A0916.png")
    first, *rest = score(sources(dpdd), dpdd).in_order
    assert "1P0A0916.png: has 45x60 pixels, but " in first.error
    assert "source/1P0A0917.png has 60x45" in first.error
    assert all(record.error is None for record in rest)


def test_pictures_too_small_for_the_metrics_are_refused(tmp_path, score):
    for number, height in enumerate((31, 39)):
        blurred, sharp = scene(number, height=height)
        save(blurred, tmp_path / f"own/input/{number}.png")
        save(sharp, tmp_path / f"own/target/{number}.png")
    small, large = score(tmp_path / "own/input", None, str(tmp_path / "own")).in_order
    assert "0.png: leaves 56x24 pixels, 31 on each side are needed" in small.error
    assert large.scores is not None


def test_unequal_counts_are_refused(dpdd, score, tmp_path):
    shutil.copytree(sources(dpdd), tmp_path / "made")
    (tmp_path / "made/1P0A0919.png").unlink()
    with pytest.raises(IfanError, match=r"made: has 2 pictures, but .*DPDD has 3; "):
        score(tmp_path / "made", dpdd)
    (targets(dpdd) / "1P0A0916.png").unlink()
    with pytest.raises(IfanError, match=r"target: has 2 pictures, but .*source has 3; "):
        score(sources(dpdd), dpdd)


def test_dpdd_has_means_indoors_and_outdoors(dpdd, score, tmp_path):
    for folder in (sources(dpdd), targets(dpdd)):
        first = sorted(folder.iterdir())[0]
        for number in range(73):
            shutil.copy(first, folder / f"2{number:03d}.png")
    evaluation = score(sources(dpdd), dpdd)
    (method,) = summarise([evaluation], "ifan evaluate").methods
    numbers = [8, 9, 10, 11, 12, 13, 16, 32, *range(39, 57), *range(59, 68), 74, 75]
    expected = np.mean([evaluation.records[n + 1].scores.psnr for n in numbers])
    assert method.parts["indoor"]["psnr"] == pytest.approx(expected)
    assert method.parts["outdoor"]["psnr"] != method.parts["indoor"]["psnr"]
    lines = evaluation.write_scores().read_text().splitlines()
    assert len(lines) == 77
    assert re.match(r"\[EVAL source\]\[01/76\] 1P0A0917 PSNR: \d+\.\d{5}, SSIM: ", lines[0])


def test_tables_name_what_each_number_stands_for(all_sets, score, tmp_path):
    # A name that HTML, CSV and terminals may stumble over.
    made = tmp_path / 'made, "<b>ü'
    shutil.copytree(all_sets / "RealDOF/source", made)
    evaluation = score(made, all_sets, "RealDOF")
    with (evaluation.run_folder.path / "names.csv").open(encoding="utf-8") as file:
        header, _, second = csv.reader(file)
    assert header == ["number", "center", "target"]
    assert second == ["02", *(str(all_sets / f"RealDOF/{f}/01.png") for f in ("source", "target"))]
    report = write_results([evaluation], tmp_path, "ifan evaluate")
    with report.with_suffix(".csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [made.name] * 2
    assert float(rows[1]["lpips"]) == evaluation.records[2].scores.lpips
    assert "<b>ü" not in report.read_text(encoding="utf-8")
    assert "&lt;b&gt;ü" in report.read_text(encoding="utf-8")
