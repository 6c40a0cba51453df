"""Whole trainings by the command line: what they leave behind, how they stop and go on."""

from __future__ import annotations

import shutil
import signal
import time

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from running import children, logged, state, wait_for_update, wait_for_weights
from typer.testing import CliRunner

from ifan.commands.program import app
from ifan.datasets.folders import open_folder
from ifan.datasets.packing import pack
from ifan.errors import IfanError, ModelError, PictureError
from ifan.models import load_released_checkpoint, save_safetensors
from ifan.networks import IFAN
from ifan.training.initialisation import make_networks
from leaves import photograph

MODE = "pairs_only"
# Without validation pictures no weights are the best.
NEVER_SAVES = ("updates=100000", "save_every=100000", "validation.root=''")
TWO_PROCESSES = ("--standalone", "--nproc-per-node=2")


def best(folder):
    """The update whose weights are the best so far."""
    return torch.load(folder / "checkpoint" / "best.ckpt", weights_only=True)["update"]


def said(process, status=0):
    output = process.communicate(timeout=120)[0]
    assert process.returncode == status, output
    assert "Traceback" not in output
    return output


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "logs" / "IFAN_CVPR2021" / MODE


@pytest.fixture
def simulated(tmp_path):
    """Changes that make it one update, on simulated scenes."""
    (tmp_path / "sharp").mkdir()
    for number in range(4):
        Image.fromarray(photograph(number)).save(tmp_path / "sharp" / f"{number}.png")
    return (
        f"data={{kind: simulated, photographs: {tmp_path / 'sharp'}, held_out: 1, scenes: 2,"
        " uses: 2, simulation: {height: 64, width: 64, coc_px: [1, 4]}}",
        "losses.disparity=0",
        "validation.root=''",
        "validation.scenes=1",
        "updates=1",
    )


def test_a_run_leaves_its_recipe_its_scores_and_weights_for_users(train, folder):
    train("keep=1")
    recipe = yaml.safe_load((folder / "config" / "recipe.yaml").read_text())
    assert (recipe["batch"], recipe["network"]["width"]) == (4, 4)
    lines = (folder / "checkpoint" / "checkpoints.txt").read_text().splitlines()
    names = [line.split()[0] for line in lines]
    assert names[-1] == f"{MODE}_00004.pytorch"
    assert sum("(best)" in line for line in lines) == 1
    assert {file.name for file in (folder / "checkpoint").glob("*.pytorch")} == set(names)
    checkpoint = load_released_checkpoint(folder / "checkpoint" / names[-1])
    trained = state(folder)["tasks"]
    for name, weight in checkpoint.network.state_dict().items():
        assert torch.equal(weight, trained[f"network.{name}"])
    assert checkpoint.reblurring is not None


def test_the_moving_average_is_what_is_kept(train, folder):
    train("average=0.9")
    kept = load_released_checkpoint(folder / "checkpoint" / f"{MODE}_00004.pytorch").network
    saved = state(folder)
    for name, weight in kept.state_dict().items():
        assert torch.equal(weight, saved["average"][f"module.network.{name}"])
    assert not torch.equal(
        kept.reconstructor.output.weight, saved["tasks"]["network.reconstructor.output.weight"]
    )


@pytest.mark.parametrize("optimizer", ["radam", "muon"])
def test_a_killed_run_goes_on_to_the_same_weights(start, train, folder, tmp_path, optimizer):
    changes = ("average=0.9", "accumulation=2", "updates=18", f"optimizer.name={optimizer}")
    train(*changes, log_root="whole")
    killed = start(*changes)
    wait_for_update(folder, 6, killed)
    time.sleep(np.random.default_rng().uniform(0, 0.5))
    killed.kill()
    killed.wait()
    train(*changes, resume=True)
    resumed, whole = state(folder), state(tmp_path / "whole" / "IFAN_CVPR2021" / MODE)
    assert resumed["update"] == whole["update"] == 18
    for part in ("tasks", "average"):
        for name, weight in whole[part].items():
            assert torch.equal(weight, resumed[part][name]), name


def test_a_run_that_is_asked_to_stop_saves_first(start, folder):
    stopped = start(*NEVER_SAVES)
    wait_for_weights(folder, stopped)
    stopped.send_signal(signal.SIGTERM)
    output = said(stopped, 143)
    assert "--resume goes on" in output.splitlines()[-1]
    assert state(folder)["update"] == logged(folder) >= 2


def test_a_run_is_not_overwritten_and_not_continued_with_another_recipe(train, folder):
    train("updates=3")
    before = (folder / "checkpoint" / "last.ckpt").read_bytes()
    with pytest.raises(IfanError, match="go on with --resume"):
        train("updates=3")
    with pytest.raises(IfanError, match="was begun with batch 4, not 3"):
        train("updates=3", "batch=3", resume=True)
    assert (folder / "checkpoint" / "last.ckpt").read_bytes() == before


def test_how_a_run_is_watched_may_change_when_it_goes_on(train, folder):
    train("updates=3")
    train("updates=3", "validation.every=2", "save_every=1", "keep=2", resume=True)
    assert state(folder)["update"] == 3


def test_a_damaged_checkpoint_is_refused_with_a_way_out(train, folder):
    train("updates=3")
    last = folder / "checkpoint" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(IfanError, match=r"last\.ckpt: is no checkpoint of a run.*put best\.ckpt"):
        train("updates=3", resume=True)
    last.unlink()
    with pytest.raises(IfanError, match=r"last\.ckpt: is no checkpoint of a run.*put best\.ckpt"):
        train("updates=3", resume=True)


def test_a_diverging_run_stops_and_names_where(start, folder):
    wild = ("optimizer.learning_rate=1e9", "optimizer.largest_norm=null")
    output = said(start(*wild, "updates=1000"), 1)
    line = output.splitlines()[-1]
    assert "has a loss that is not finite; it saw " in line
    assert "source/0" in line
    assert "learning_rate" in line
    if (folder / "checkpoint" / "last.ckpt").exists():
        assert all(weight.isfinite().all() for weight in state(folder)["tasks"].values())


@pytest.mark.parametrize("optimizer", ["radam", "muon"])
def test_a_gradient_that_is_not_finite_ends_a_run_whatever_it_belongs_to(
    train, monkeypatch, optimizer
):
    def made(*arguments, **options):
        network, reblurring = make_networks(*arguments, **options)
        kernel = next(each for each in network.parameters() if each.shape[1:] == (16, 3, 3))
        kernel.register_hook(lambda gradient: torch.full_like(gradient, torch.nan))
        return network, reblurring

    monkeypatch.setattr("ifan.training.loop.make_networks", made)
    with pytest.raises(IfanError, match="update 1 has a gradient that is not finite"):
        train(f"optimizer.name={optimizer}")


def test_the_best_checkpoint_is_written_whenever_there_is_one(train, folder):
    train("save_every=1000", "validation.every=7")
    lines = (folder / "checkpoint" / "checkpoints.txt").read_text().splitlines()
    line = next(line for line in lines if line.endswith("(best)"))
    assert f" update {best(folder)} " in line


def test_a_validation_that_failed_is_made_up(train, folder, pairs, tmp_path):
    shutil.copytree(pairs, tmp_path / "pairs")
    last = tmp_path / "pairs/val/source/001.png"
    whole, changes = last.read_bytes(), (f"validation.root={tmp_path / 'pairs'}", "updates=6")
    last.write_bytes(whole[:100])
    with pytest.raises(PictureError, match=r"001\.png"):
        train(*changes, "validation.first=6")
    last.write_bytes(whole)
    train(*changes, "validation.first=6", resume=True)
    lines = (folder / "checkpoint" / "checkpoints.txt").read_text().splitlines()
    assert [line.split()[2] for line in lines] == ["6"]


def test_other_photographs_are_not_gone_on_with(train, simulated, tmp_path):
    train(*simulated)
    train(*simulated, resume=True)
    Image.fromarray(photograph(9)).save(tmp_path / "sharp" / "9.png")
    with pytest.raises(IfanError, match=r"sharp: does not hold what this run began with"):
        train(*simulated, resume=True)


def test_a_teacher_has_a_share_in_what_is_learnt(train, simulated, folder):
    def learnt(*changes, name):
        train(*simulated, f"mode={name}", *changes)
        return state(folder.parent / name)["tasks"]["network.reconstructor.output.weight"]

    alone = learnt(name="alone")
    taught = learnt("data.teacher={model: ifan-s, passes: 1, share: 1}", name="taught")
    assert not torch.equal(alone, taught)


def test_a_teacher_is_looked_at_before_anything_is_made(train, simulated, folder, tmp_path):
    teacher = tmp_path / "teacher.safetensors"
    changes = (*simulated, f"data.teacher={{model: {teacher}, passes: 1}}")
    with pytest.raises(ModelError, match="is neither a file nor a model"):
        train(*changes)
    assert not (folder / "checkpoint" / "last.ckpt").exists()
    save_safetensors(teacher, IFAN(4, 2))
    train(*changes)
    train(*changes, resume=True)
    teacher.unlink()
    save_safetensors(teacher, IFAN(4, 3))
    with pytest.raises(IfanError, match="is not what this run began with: its weights differ"):
        train(*changes, resume=True)


def test_other_pictures_than_a_run_began_with_are_not_gone_on_with(train, folder, pairs, tmp_path):
    train("updates=3")
    list(pack(open_folder(pairs, "train", views=False), tmp_path / "packed" / "train").make())
    for root in (shutil.copytree(pairs, tmp_path / "moved"), tmp_path / "packed"):
        train("updates=3", f"data.root={root}", resume=True)
    others = shutil.copytree(pairs, tmp_path / "others")
    for kind in ("source", "target"):
        shutil.copy(others / "train" / kind / "000.png", others / "train" / kind / "999.png")
    with pytest.raises(IfanError, match="others: does not hold what this run began with: names"):
        train("updates=3", f"data.root={others}", resume=True)
    last = folder / "checkpoint" / "last.ckpt"
    older = {key: value for key, value in state(folder).items() if key != "fingerprints"}
    torch.save(older, last)  # as an older version wrote it
    train("updates=3", f"data.root={others}", resume=True)


def test_scores_on_other_pictures_do_not_compete_for_the_best(
    train, folder, pairs, tmp_path, caplog
):
    for kind in ("source", "target"):  # nothing to deblur
        shutil.copytree(pairs / "val" / "target", tmp_path / "easy" / kind)
    easy, gentle = f"validation.root={tmp_path / 'easy'}", "initialisation=gentle"
    train(easy, gentle, until=6)
    assert best(folder) in (2, 6)
    train(easy, gentle, resume=True, until=7)
    assert "count no more" not in caplog.text
    train(gentle, resume=True)
    assert "scores on other validation pictures count no more" in caplog.text
    assert best(folder) == 12
    lines = (folder / "checkpoint" / "checkpoints.txt").read_text().splitlines()
    assert [line.endswith(" (on other pictures)") for line in lines] == [True, True, False]


@pytest.mark.parametrize("split", ["train", "val"])
def test_pictures_that_are_trained_with_do_not_validate(train, pairs, tmp_path, split):
    flat = shutil.copytree(pairs / "train", tmp_path / "flat")
    (tmp_path / "link").symlink_to(flat)
    with pytest.raises(IfanError, match="flat: holds the pictures that are trained with; give"):
        train(f"data.root={tmp_path / 'link'}", f"validation.root={flat}", "updates=1")
    with pytest.raises(IfanError, match="holds the pictures that are trained with"):
        train(f"data.split={split}", f"validation.split={split}", "updates=1")


def test_every_validation_of_an_epoch_keeps_its_weights(train, folder):
    train("validation.every=1", "updates=6", "optimizer.learning_rate=0.01")
    lines = (folder / "checkpoint" / "checkpoints.txt").read_text().splitlines()
    assert [line.split()[2] for line in lines] == list("123456")
    names = {line.split()[0] for line in lines}
    assert names == {path.name for path in (folder / "checkpoint").glob("*.pytorch")}
    assert len(names) == 6
    scores = [float(line.split()[4]) for line in lines]
    assert lines[int(np.argmax(scores))].endswith("(best)")
    assert best(folder) == 1 + int(np.argmax(scores))


def test_the_paper_is_trained_and_watched_with_dual_pixel_views(train, pairs, tmp_path):
    for split in ("train", "val"):
        for view in ("c", "l", "r"):
            shutil.copytree(pairs / split / "source", tmp_path / f"{split}_{view}" / "source")
        shutil.copytree(pairs / split / "target", tmp_path / f"{split}_c" / "target")
    train(f"data.root={tmp_path}", f"validation.root={tmp_path}", "updates=2", name="ifan")
    run = tmp_path / "logs" / "IFAN_CVPR2021" / "IFAN"
    assert state(run)["update"] == 2
    assert "PSNR" in (run / "checkpoint" / "checkpoints.txt").read_text()
    with Image.open(run / "sample" / "0000002_0.jpg") as picture:
        assert picture.width >= 5 * 64  # input, output, target, warped, reblurred


def test_photographs_that_are_all_kept_apart_are_asked_for_more(train, tmp_path):
    (tmp_path / "photographs").mkdir()
    for number in range(2):
        Image.fromarray(photograph(number)).save(tmp_path / "photographs" / f"{number}.png")
    simulated = "data={kind: simulated, held_out: 2, simulation: {height: 64, width: 64}}"
    with pytest.raises(IfanError, match=r"besides 2 that are kept apart; give more, or a lower"):
        train(simulated, f"data.photographs={tmp_path / 'photographs'}", "validation.root=''")


def test_a_run_that_met_a_damaged_picture_goes_on_without_it(train, folder, pairs, tmp_path):
    root = shutil.copytree(pairs, tmp_path / "damaged")
    picture = root / "train" / "source" / "004.png"
    picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(PictureError, match=r"004\.png"):
        train(f"data.root={root}", "save_every=1000")
    assert state(folder)["update"] < 3
    train(f"data.root={root}", "data.skip_damaged=true", resume=True)
    assert state(folder)["update"] == 12


def test_a_run_that_is_stopped_before_its_first_update_can_go_on(train, folder, monkeypatch):
    monkeypatch.setattr("ifan.training.loop.Training._any", lambda *_: True)
    train()
    assert state(folder)["update"] == 0
    monkeypatch.undo()
    train(resume=True)
    assert state(folder)["update"] == 12


def test_a_run_that_another_process_stopped_does_not_pass_for_one_that_ended(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr("ifan.training.loop.Training._any", lambda *_: True)
    options = ["--workers=0", f"--log-root={tmp_path}", *(f"--set={change}" for change in small)]
    done = CliRunner().invoke(app, ["train", "pairs-only", *options])
    assert done.exit_code == 1
    assert "was stopped as another of its processes was; --resume" in str(done.exception)


def test_a_validation_picture_that_no_network_takes_is_named(train, tmp_path):
    for kind in ("source", "target"):
        (tmp_path / "tiny" / kind).mkdir(parents=True)
        Image.new("RGB", (12, 5)).save(tmp_path / "tiny" / kind / "0.png")
    with pytest.raises(PictureError, match=r"0\.png: has 12x5 pixels"):
        train(f"validation.root={tmp_path / 'tiny'}")


@pytest.mark.parametrize("key", ["data.root", "data.photographs"])
def test_data_that_are_not_given_are_asked_for(train, key):
    simulated = ["data={kind: simulated, simulation: {height: 64, width: 64}}"]
    with pytest.raises(IfanError, match=f"{key}: is not given"):
        train(*(["data.root=''"] if key == "data.root" else simulated))


def test_a_gradient_that_is_not_finite_ends_training_before_the_weights_change(train, monkeypatch):
    updated = []
    monkeypatch.setattr("torch.optim.RAdam.step", lambda *_, **__: updated.append(True))
    monkeypatch.setattr("lightning_fabric.Fabric.clip_gradients", lambda *_, **__: float("inf"))
    with pytest.raises(IfanError, match="has a gradient that is not finite; it saw"):
        train()
    assert not updated


def test_a_run_that_is_to_go_on_begins_and_says_so_if_there_is_none(train, folder, caplog):
    train("updates=3", resume=True)
    assert state(folder)["update"] == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: has no run to go on with; one begins"
    ]


def test_several_processes_train_as_one_with_larger_batches(start, train, tmp_path):
    """The first moments after an update are a tenth of its gradients."""
    changes = ("updates=1", "optimizer.largest_norm=null", "optimizer.name=adam")
    train(*changes, "batch=8", log_root="one")
    said(start(*changes, options=["--log-root=two"], torchrun=TWO_PROCESSES))
    gradients = []
    for root in ("one", "two"):
        (adam,) = state(tmp_path / root / "IFAN_CVPR2021" / MODE)["optimizers"]
        moments = adam["state"].values()
        gradients.append(torch.cat([moment["exp_avg"].flatten() for moment in moments]) / 0.1)
    assert gradients[0].norm() > 1e-3
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)


def test_a_lost_process_ends_training_with_a_checkpoint_to_go_on_with(start, train, folder):
    torchrun = start(*NEVER_SAVES, torchrun=TWO_PROCESSES)
    wait_for_weights(folder, torchrun)
    children(torchrun.pid)[-1].kill()
    output = torchrun.communicate(timeout=120)[0]
    assert torchrun.returncode != 0
    assert "--resume" in output
    assert state(folder)["update"] == logged(folder) >= 2
    with pytest.raises(IfanError, match="was begun with updates 100000, not 12"):
        train(resume=True)


def test_weights_are_kept_without_validation_pictures(train, folder):
    train("validation.root=''")
    lines = (folder / "checkpoint" / "checkpoints.txt").read_text().splitlines()
    assert lines[-1] == f"{MODE}_00004.pytorch update 12"
    assert load_released_checkpoint(folder / "checkpoint" / f"{MODE}_00004.pytorch").network


def test_a_validation_set_that_cannot_be_opened_is_named_before_training(train, folder, tmp_path):
    with pytest.raises(IfanError, match="nowhere"):
        train(f"validation.root={tmp_path / 'nowhere'}")
    assert not (folder / "checkpoint" / "last.ckpt").exists()
