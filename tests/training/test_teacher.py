"""A network that has a share in the targets of another."""

import numpy as np
import pytest
from pydantic import ValidationError

from ifan import Deblurrer
from ifan.datasets.simulated import SceneSimulator, Simulation
from ifan.datasets.streaming import CropStream
from ifan.errors import ModelError
from ifan.models import save_safetensors
from ifan.networks import IFAN
from ifan.training.recipe import Teaching
from ifan.training.teacher import taught

SIMULATION = Simulation(height=96, width=96, coc_px=(1, 4))


@pytest.fixture(scope="module")
def photographs():
    random = np.random.default_rng(4)
    return [random.integers(0, 256, (150, 200, 3), np.uint8) for _ in range(2)]


@pytest.fixture(scope="module")
def scene(photographs):
    return SceneSimulator(photographs, SIMULATION, seed=1).scene(0)


@pytest.mark.parametrize("passes", [1, 4])
def test_the_target_is_what_the_teacher_makes_of_the_picture(scene, passes):
    teaching = Teaching(model="ifan-s", passes=passes, share=1)
    made = Deblurrer("ifan-s", precision="fp32", working_size="full", passes=passes)(scene.center)
    assert np.abs(taught(scene, teaching).target - made).max() < 1e-4


def test_shares_mix_it_with_the_sharp_photograph(scene):
    half, all_of_it = (
        taught(scene, Teaching(model="ifan-s", passes=1, share=share)) for share in (0.5, 1)
    )
    np.testing.assert_allclose(half.target, (scene.target + all_of_it.target) / 2, atol=1e-6)
    for name in ("center", "coc"):
        np.testing.assert_array_equal(getattr(half, name), getattr(scene, name))


def test_crops_are_cut_from_what_the_scene_was_made(photographs):
    def stream(retouch):
        return CropStream(photographs, SIMULATION, crop=64, uses=2, retouch=retouch, views=False)

    plain = stream(None).group(0, 2, 0.0)
    learnt = stream(lambda scene: taught(scene, Teaching(model="ifan-s", share=1))).group(0, 2, 0.0)
    for one, other in zip(plain, learnt, strict=True):
        np.testing.assert_array_equal(one.center, other.center)
        assert not np.array_equal(one.target, other.target)


def test_a_teacher_needs_one_view(scene, tmp_path):
    save_safetensors(tmp_path / "two.safetensors", IFAN(4, 2, dual_pixel=True))
    teaching = Teaching(model=str(tmp_path / "two.safetensors"))
    with pytest.raises(ModelError, match=r"needs dual-pixel views; give data\.teacher"):
        taught(scene, teaching)


@pytest.mark.parametrize(
    "wrong", [{"passes": 3}, {"share": 1.5}, {"share": 0}, {"model": None}, {"who": "me"}]
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        Teaching(**{"model": "ifan-s", **wrong})
