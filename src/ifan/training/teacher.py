"""A network that teaches another: it has a share in what that is to make of a photograph.

What was lost to blur cannot be had back for certain, so that a loss against the sharp photograph
never gets small, and its gradient leads to and fro. What a teacher makes of the same picture can be
had of it. One that sees the picture several times, turned and mirrored (`ifan.passes`), is better
than in one pass, and that is what the other learns (Hinton, Vinyals, Dean: "Distilling the
Knowledge in a Neural Network", 2015).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ifan import engines
from ifan.datasets.simulated import Scene
from ifan.engines import Array
from ifan.engines.staged import StagedNetwork
from ifan.errors import ModelError
from ifan.models.store import Model, compiled_folder, open_model
from ifan.passes import mean_of_passes
from ifan.training.recipe import Teaching


def taught(scene: Scene, teaching: Teaching) -> Scene:
    """Give a teacher its share in the target of a scene.

    Args:
        scene: one that is to be learnt from.
        teaching: who teaches, and how much.

    Raises:
        ModelError: as `teacher_model`; or its weights cannot be read.
    """
    network = _teacher(teaching.model)

    def deblurred(views: list[Array]) -> Array:
        planes = tuple(view.transpose(2, 0, 1)[None] for view in views)
        result: Array = network.deblur(planes, math.inf)[0]
        return result.transpose(1, 2, 0)

    made = mean_of_passes([scene.center], teaching.passes, deblurred).clip(0, 1)
    target = scene.target + np.float32(teaching.share) * (made - scene.target)
    return replace(scene, target=target)


def teacher_model(name: str) -> Model:
    """Return a model that is to teach.

    Raises:
        ModelError: there is no such model, or it needs dual-pixel views.
    """
    model = open_model(name)
    if model.description.configuration.dual_pixel:
        raise ModelError(name, "needs dual-pixel views", "give data.teacher a model of one view")
    return model


@lru_cache(maxsize=1)
def _teacher(name: str) -> StagedNetwork:
    model = teacher_model(name)
    configuration = model.description.configuration
    # On the processor, wherever training runs: several processes make scenes, and what they make
    # is to be the same on each machine.
    choice = engines.choose("openvino", "fp32")
    engine = engines.open_engine(
        choice, graph=model.graph, network=model.network, compiled=compiled_folder(), threads=1
    )
    return StagedNetwork(engine, configuration.width, configuration.iterations)
