"""Recipes: the paper's values, and refusals that name the key."""

from __future__ import annotations

import pytest

from ifan.errors import IfanError
from ifan.training.recipe import open_recipe, recipe_names

PAPER = {
    "updates": 600_028,
    "batch": 8,
    "crop": 256,
    "precision": "fp32",
    "initialisation": "paper",
    "average": None,
}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_package_is_valid_and_written_down_whole(name, tmp_path):
    recipe = open_recipe(name)
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe.to_yaml())
    assert open_recipe(str(file)).model_dump(exclude={"base"}) == recipe.model_dump(
        exclude={"base"}
    )


def test_the_recipe_of_the_paper():
    recipe = open_recipe("ifan")
    assert recipe.model_dump(include=set(PAPER)) == PAPER
    assert recipe.network.width == 32
    assert recipe.network.iterations == 17
    tasks = {task: weight for task, weight in recipe.losses.weights.items() if weight}
    assert tasks == {"deblurring": 1, "disparity": 1, "reblurring": 1}
    assert recipe.losses.difference == "squared"


@pytest.mark.parametrize(
    ("name", "iterations", "crop"),
    [("ifan-8", 8, 256), ("ifan-26", 26, 512), ("ifan-35", 35, 576), ("ifan-44", 44, 704)],
)
def test_more_iterations_are_trained_on_larger_crops(name, iterations, crop):
    recipe = open_recipe(name)
    assert (recipe.network.iterations, recipe.crop) == (iterations, crop)


@pytest.mark.parametrize(
    ("name", "architecture", "tasks"),
    [
        ("ablation-B", "B", {"deblurring"}),
        ("ablation-D", "D", {"deblurring", "disparity"}),
        ("ablation-F", "F", {"deblurring"}),
        ("ablation-FD", "ifan", {"deblurring", "disparity"}),
        ("ablation-FR", "F", {"deblurring", "reblurring"}),
        ("ablation-FAC", "fac", {"deblurring", "disparity", "reblurring"}),
        ("pairs-only", "ifan", {"deblurring", "reblurring"}),
    ],
)
def test_ablations_leave_out_parts_and_tasks(name, architecture, tasks):
    recipe = open_recipe(name)
    assert recipe.network.architecture == architecture
    assert {task for task, weight in recipe.losses.weights.items() if weight} == tasks


def test_training_on_pairs_needs_no_views():
    assert not open_recipe("pairs-only").needs_views
    assert open_recipe("ifan").needs_views
    assert open_recipe("ifan-dual", ["losses.disparity=0"]).needs_views


def test_anything_can_be_overridden():
    recipe = open_recipe("ifan", ["optimizer.learning_rate=2e-4", "schedule.halved_after=[5, 7]"])
    assert recipe.optimizer.learning_rate == 2e-4
    assert recipe.schedule.halved_after == (5, 7)
    assert open_recipe("ifan", ["optimizer.largest_norm=null"]).optimizer.largest_norm is None


def test_other_data_replace_those_of_the_base(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("base: ifan-s\ndata: {kind: folder, root: here}\nlosses: {defocus: 0}\n")
    assert open_recipe(str(file)).data.root == "here"


def test_data_without_a_kind_are_those_of_folders(tmp_path):
    (tmp_path / "first.yaml").write_text("base: pairs-only\ndata: {root: here}\n")
    second = tmp_path / "second.yaml"
    second.write_text("base: first.yaml\ndata: {kind: folder, skip_damaged: true}\n")
    data = open_recipe(str(second)).data
    assert (data.root, data.skip_damaged) == ("here", True)


def test_a_base_is_looked_for_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "first.yaml").write_text("base: ifan\nbatch: 3\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\ncrop: 64\n")
    recipe = open_recipe(str(tmp_path / "second.yaml"))
    assert (recipe.batch, recipe.crop) == (3, 64)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.learning_rat=1", "optimizer.learning_rat: there is no such key"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate: Input should be greater than 0"),
        ("crop=100", "crop: Input should be a multiple of 8, not 100"),
        ("network.architecture=G", "network.architecture: Input should be"),
        ("network=3", "network: "),
        ("losses.deblurring=0", "losses.deblurring: Input should be greater than 0"),
        (
            "losses={deblurring: 0, disparity: 0, reblurring: 0, colour: 1}",
            "losses.deblurring: Input should be greater than 0",
        ),
        ("losses.defocus=1", "losses.defocus must be 0: only simulated scenes tell the true blur"),
        ("data={kind: simulated, scenes: 3, uses: 1}", "data.scenes * data.uses must be"),
        (
            "data={kind: simulated, curriculum: {mean_coc_px: [8, 12]}}",
            "mean_coc_px must begin below its end and below last_mean_coc_px",
        ),
        (
            "data={kind: simulated, simulation: {height: 256, width: 256, coc_px: [0.3, 0.9]}}",
            "data.curriculum.mean_coc_px must begin below 0.9 px",
        ),
        ("optimizer.betas=[0.9, 1]", "optimizer.betas.1: Input should be less than 1"),
        ("optimizer.kernel_momentum=1", "optimizer.kernel_momentum: Input should be less than 1"),
        ("losses.deblurring=.inf", "losses.deblurring: Input should be a finite number"),
        (
            "data={kind: simulated, simulation: {electrons: [4000, .inf]}}",
            "data.simulation.electrons.1: Input should be a finite number",
        ),
        (
            "data={kind: simulated, simulation: {smallest_zoom: 0.9, largest_zoom: 0.6}}",
            "smallest_zoom must not exceed largest_zoom",
        ),
        ("data.augmentation.noise_share=2", "data.augmentation.noise_share: "),
        (
            "data.augmentation.noise_sigma=[0.1, .inf]",
            "data.augmentation.noise_sigma.1: Input should be a finite number",
        ),
        (
            "data={kind: simulated, simulation: {coc_px: [1, 2000]}}",
            "coc_px and fringe_px together must not exceed 999 px",
        ),
        ("mode=../elsewhere", "mode: "),
        ("precision", "is no override"),
        ("batch=[", "has a value that is no YAML"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(override, said):
    with pytest.raises(IfanError, match=r"^[^\n]*$") as refusal:
        open_recipe("ifan", [override])
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("ablation-B", "disparity"),
        ("ablation-F", "disparity"),
        ("ablation-D", "reblurring"),
        ("ablation-F", "defocus"),
        ("ablation-D", "growth"),
        ("ablation-FAC", "growth"),
    ],
)
def test_a_task_that_a_network_cannot_do_is_refused(name, task):
    with pytest.raises(IfanError, match=f"losses.{task} must be 0"):
        open_recipe(name, [f"losses.{task}=1"])


@pytest.mark.parametrize("override", ["network.iterations=8", "network.shared_filters=true"])
@pytest.mark.parametrize(
    ("name", "others"),
    [("ablation-B", []), ("ablation-D", []), ("ablation-FAC", ["losses.reblurring=0"])],
)
def test_settings_that_nothing_in_a_network_reads_are_refused(name, others, override):
    with pytest.raises(IfanError, match=r"network\.\w+ must be left at (17|False): nothing in"):
        open_recipe(name, [*others, override])


@pytest.mark.parametrize("name", ["ablation-F", "ablation-FR", "ablation-FAC"])
def test_settings_of_filters_or_of_the_reblurring_network_alone_are_taken(name):
    network = open_recipe(name, ["network.iterations=8", "network.shared_filters=true"]).network
    assert (network.iterations, network.shared_filters) == (8, True)


def test_what_cannot_be_done_with_scaled_gradients_is_refused():
    with pytest.raises(IfanError, match=r"optimizer\.name must not be muon"):
        open_recipe("ifan", ["precision=fp16", "optimizer.name=muon"])


def test_an_unknown_recipe_names_those_that_there_are():
    with pytest.raises(IfanError, match=r"one of .*ifan-dual, .*smoke"):
        open_recipe("ifan-9000")


@pytest.mark.parametrize("text", ["base: loop.yaml", "- 1", "a: [", b"\xff\xfe\x00"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text):
    file = tmp_path / "loop.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(IfanError, match=r"loop\.yaml: (has itself|is no )"):
        open_recipe(str(file))
