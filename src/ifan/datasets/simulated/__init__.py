"""Simulated defocus: scenes from sharp photographs, with dual-pixel views and the truth beside.

Nothing here knows of files; `docs/optics.md` shows what comes out. Needs `ifan[train]`.
"""

from ifan.datasets.simulated.crops import sharpness
from ifan.datasets.simulated.scenes import Scene, SceneSimulator
from ifan.datasets.simulated.settings import Simulation

__all__ = ["Scene", "SceneSimulator", "Simulation", "sharpness"]
