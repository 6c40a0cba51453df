"""`ifan evaluate` with models: random weights in the released layout, over miniature sets."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from sets import save_dpdd, scene

from ifan.evaluation.methods import is_result_folder
from ifan.evaluation.metrics import psnr
from ifan.models import save_released_checkpoint
from ifan.networks import IFAN

# The seven test commands of the released code: mode, N, whether dual-pixel, bits.
RELEASED = (
    ("IFAN", 17, False, 8),
    ("IFAN_8", 8, False, 8),
    ("IFAN_26", 26, False, 8),
    ("IFAN_35", 35, False, 8),
    ("IFAN_44", 44, False, 8),
    ("IFAN_16bit", 17, False, 16),
    ("IFAN_dual", 17, True, 8),
)
LINE = (
    r"PSNR: -?\d+\.\d{5},? SSIM: -?\d\.\d{5},? MAE: \d\.\d{5},? LPIPS: \d\.\d{5} \(\d+\.\d{5}sec\)"
)


def table(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def network():
    """Makes networks, small ones of the paper's kind, each always with the same weights."""

    def make(iterations, dual_pixel=False):
        torch.manual_seed(iterations)
        return IFAN(
            width=4,
            iterations=iterations,
            dual_pixel=dual_pixel,
            shared_filters=True,
            output_activation=True,
        ).eval()

    return make


@pytest.fixture(scope="module")
def checkpoints(network, tmp_path_factory):
    """The folder of the released checkpoints."""
    folder = tmp_path_factory.mktemp("ckpt")
    for mode, iterations, dual_pixel, _ in RELEASED:
        save_released_checkpoint(folder / f"{mode}.pytorch", network(iterations, dual_pixel))
    return folder


@pytest.fixture
def evaluate(ifan, all_sets):
    def run(*arguments, **options):
        return ifan("evaluate", "--root", all_sets, "--engine", "torch", *arguments, **options)

    return run


@pytest.mark.parametrize(("mode", "iterations", "dual_pixel", "bits"), RELEASED)
def test_the_released_commands(evaluate, checkpoints, tmp_path, mode, iterations, dual_pixel, bits):
    said = evaluate("--data", "DPDD", "--model", checkpoints / f"{mode}.pytorch").out
    assert said.startswith(f"{mode} on DPDD: 3 pictures in {bits} bits\n")
    folder = tmp_path / "logs/IFAN_CVPR2021" / mode / "result/quanti_quali" / mode
    copy = (folder / f"{mode}.pytorch").read_bytes()
    assert copy == (checkpoints / f"{mode}.pytorch").read_bytes()
    *lines, total = (folder / "score_DPDD.txt").read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        start = f"[EVAL {mode}][0{number}/03] 1P0A091{6 + number} "
        assert line.startswith(start)
        assert re.fullmatch(LINE, line.removeprefix(start))
    assert total.startswith(f"[TOTAL {mode}.pytorch] ")
    assert re.fullmatch(LINE, total.removeprefix(f"[TOTAL {mode}.pytorch] "))
    assert "," not in total
    (run,) = (folder / "DPDD").iterdir()
    assert re.fullmatch(r"\d{4}_\d\d_\d\d_\d{4}", run.name)
    for what in ("input", "output"):
        for kind in ("png", "jpg"):
            names = sorted(path.name for path in (run / what / kind).iterdir())
            assert names == [f"0{number}.{kind}" for number in (1, 2, 3)]
    (first, *_) = table(run / "names.csv")
    assert list(first)[1:] == ["center", "target", *(["left", "right"] if dual_pixel else [])]


@pytest.mark.parametrize("bits", [8, 16])
def test_the_score_is_that_of_the_network_by_the_papers_protocol(
    evaluate, checkpoints, network, tmp_path, bits
):
    evaluate("--model", checkpoints / "IFAN.pytorch", "--bits", bits)
    folder = tmp_path / "logs/IFAN_CVPR2021/IFAN/result/quanti_quali/IFAN"
    rows = table(folder / "score_DPDD.csv")
    for number, row in enumerate(rows):
        pictures = (p[:40, :56] for p in scene(number, np.uint16))
        blurred, sharp = (p / 65535 if bits == 16 else (p >> 8) / 255 for p in pictures)
        with torch.no_grad():
            planes = torch.from_numpy(blurred.transpose(2, 0, 1)[None]).float()
            output = network(17)(planes)[0].numpy().transpose(1, 2, 0)
        assert float(row["psnr"]) == pytest.approx(psnr(np.clip(output, 0, 1), sharp), abs=1e-4)
        assert float(row["input_psnr"]) == pytest.approx(psnr(blurred, sharp), abs=1e-4)


def test_the_dual_pixel_model_sees_its_views(evaluate, checkpoints, network, tmp_path):
    evaluate("--model", checkpoints / "IFAN_dual.pytorch")
    folder = tmp_path / "logs/IFAN_CVPR2021/IFAN_dual/result/quanti_quali/IFAN_dual"
    (row, *_) = table(folder / "score_DPDD.csv")
    blurred, sharp = (picture >> 8 for picture in scene(0, np.uint16))
    views = (np.roll(blurred, step, axis=1)[:40, :56] / 255 for step in (0, 1, -1))
    with torch.no_grad():
        planes = (torch.from_numpy(view.transpose(2, 0, 1)[None]).float() for view in views)
        output = network(17, True)(*planes)[0].numpy().transpose(1, 2, 0)
    expected = psnr(np.clip(output, 0, 1), sharp[:40, :56] / 255)
    assert float(row["psnr"]) == pytest.approx(expected, abs=1e-4)


def test_pixeldp_is_turned_for_the_network_and_its_output_back(evaluate, checkpoints, tmp_path):
    evaluate("--data", "PixelDP", "--model", checkpoints / "IFAN_dual.pytorch")
    folder = tmp_path / "logs/IFAN_CVPR2021/IFAN_dual/result/quanti_quali/IFAN_dual"
    (run,) = (folder / "PixelDP").iterdir()
    blurred = scene(10)[0][:40, :56]
    with Image.open(run / "input/png/01.png") as seen, Image.open(run / "output/png/01.png") as out:
        np.testing.assert_array_equal(np.asarray(seen), np.rot90(blurred))
        assert out.size == (56, 40)
    line, _, total = (folder / "score_PixelDP.txt").read_text().splitlines()
    assert re.fullmatch(r"\[EVAL IFAN_dual\]\[01/02\] 0 \(\d+\.\d{5}sec\)", line)
    assert re.fullmatch(r"\[TOTAL IFAN_dual.pytorch\] \(\d+\.\d{5}sec\)", total)


@pytest.mark.parametrize("data", ["RealDOF", "CUHK", "random"])
def test_every_set_is_evaluated(evaluate, checkpoints, tmp_path, all_sets, data):
    model = ("--model", checkpoints / "IFAN_8.pytorch")
    said = evaluate("--data", data, *model).out
    assert said.count("[EVAL IFAN_8]") == 2
    assert ("PSNR" in said) == (data == "RealDOF")
    # The folder of a set is the set.
    again = evaluate("--data", all_sets / data, *model).out
    assert "2 done before" in again
    summary = tmp_path / f"logs/IFAN_CVPR2021/IFAN_8/result/quanti_quali/IFAN_8/score_{data}.json"
    known = json.loads(summary.read_text())
    assert (known["pictures"], bool(known["published"])) == (2, data == "RealDOF")


def test_checkpoints_of_a_training_go_to_the_folder_of_their_mode(evaluate, checkpoints, tmp_path):
    own = tmp_path / "mine_00044.pytorch"
    own.write_bytes((checkpoints / "IFAN_8.pytorch").read_bytes())
    evaluate("--data", "RealDOF", "--model", own)
    results = tmp_path / "logs/IFAN_CVPR2021/mine/result/quanti_quali/mine_00044"
    assert (results / "mine_00044.pytorch").is_file()
    assert "[EVAL mine][01/02] 00 PSNR" in (results / "score_RealDOF.txt").read_text()


def test_models_and_folders_are_compared(evaluate, checkpoints, tmp_path, all_sets):
    models = [checkpoints / f"{mode}.pytorch" for mode in ("IFAN", "IFAN_8")]
    pictures = all_sets / "RealDOF/source"
    evaluate("--data", "RealDOF", "--compare", *models, pictures)
    folder = tmp_path / "logs/IFAN_CVPR2021/IFAN-against-IFAN_8-against-source/result"
    compared = json.loads((folder / "compare_RealDOF.json").read_text())
    assert [one["label"] for one in compared["methods"]] == ["IFAN", "IFAN_8", "source"]
    pairs = {(one["first"], one["second"]): one["metrics"] for one in compared["paired"]}
    assert set(pairs) == {("IFAN_8", "IFAN"), ("source", "IFAN"), ("source", "IFAN_8")}
    means = {one["label"]: one["means"]["psnr"] for one in compared["methods"]}
    difference = pairs["IFAN_8", "IFAN"]["psnr"]
    assert difference["mean"] == pytest.approx(means["IFAN_8"] - means["IFAN"])
    assert difference["low"] <= difference["mean"] <= difference["high"]
    # The input is one of them, so its gain is none.
    assert compared["methods"][2]["gain"]["psnr"]["mean"] == 0


def test_the_name_of_a_model_is_no_folder(tmp_path, monkeypatch):
    """As for all commands: a folder of that name has to be called `./name`."""
    monkeypatch.chdir(tmp_path)
    for name in ("ifan-s", "mine"):
        (tmp_path / name).mkdir()
    assert not is_result_folder("ifan-s")
    assert is_result_folder("./ifan-s")
    assert is_result_folder("mine")


def test_what_is_compared_is_read_in_the_same_bits(evaluate, checkpoints, tmp_path, all_sets):
    models = [checkpoints / f"{mode}.pytorch" for mode in ("IFAN_16bit", "IFAN_8")]
    pictures = all_sets / "RealDOF/source"
    said = evaluate("--data", "RealDOF", "--compare", *models, status=2).err
    assert "models take different bits (IFAN_16bit 16, IFAN_8 8); give --bits 8 or 16" in said
    evaluate("--data", "RealDOF", "--compare", models[0], pictures)
    (compared,) = tmp_path.glob("logs/**/compare_RealDOF.json")
    methods = json.loads(compared.read_text())["methods"]
    assert [one["settings"]["bits"] for one in methods] == [16, 16]


def test_times_that_were_shared_are_measured_anew_alone(evaluate, checkpoints):
    command = ("--data", "RealDOF", "--model", checkpoints / "IFAN_8.pytorch")
    evaluate(*command)
    assert "2 done before" in evaluate(*command).out
    assert "done before" not in evaluate(*command, "--alone").out
    assert "2 done before" in evaluate(*command, "--alone").out


def test_a_failure_is_told_and_the_status_says_so(ifan, checkpoints, tmp_path):
    root = save_dpdd(tmp_path / "sets")
    (root / "DPDD/test_c/source/1P0A0918.png").write_bytes(b"")
    model = ("--model", checkpoints / "IFAN_8.pytorch", "--engine", "torch")
    said = ifan("evaluate", "--root", root, *model, status=1)
    assert "[EVAL IFAN_8][02/03] 1P0A0918 FAILED: " in said.err
    assert "1P0A0918.png: is empty; " in said.err
    assert said.err.splitlines()[-1] == "1 failed"
    assert said.out.count("LPIPS") == 3
    assert "not all test pictures are there" in said.out
    (report,) = tmp_path.glob("logs/**/score_DPDD.html")
    assert "1P0A0918.png: is empty" in report.read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--bits", 12], "'--bits': '12' is not 8 or 16"),
        (["--protocol", "other"], "'other' is none of ifan, restormer"),
        (["--compare", "a"], "two or more"),
        (["a", "b"], "give it with --model, --predictions or --compare"),
        (["--model", "a", "--predictions", "b"], "give one of --model, --predictions"),
        (["--mode", "../a"], "is no name of a folder"),
        (["--compare", "a", "b", "--mode", "c"], "--mode names one folder"),
    ],
)
def test_bad_use_is_refused(evaluate, arguments, reason):
    assert reason in evaluate(*arguments, status=2).err


def test_what_has_no_targets_cannot_be_scored(evaluate, all_sets):
    said = evaluate("--data", "CUHK", "--predictions", all_sets / "CUHK", status=1).err
    assert said == (
        f"{all_sets}/CUHK: has no targets, so there is nothing to score; "
        "give a set that has, or a --model\n"
    )


def test_a_set_that_is_not_there_is_named_with_what_to_do(ifan, tmp_path):
    said = ifan("evaluate", "--root", tmp_path, status=1).err
    assert said.startswith(f"{tmp_path}/DPDD: is no folder; give --root, set IFAN_DATA_ROOT")
    assert "ifan data download DPDD fetches it" in said
