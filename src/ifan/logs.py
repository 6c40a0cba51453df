"""Where the results of runs are kept, as users of the paper's code know it."""

from __future__ import annotations

from pathlib import Path

PROJECT = "IFAN_CVPR2021"
"""Name of the folder of all runs."""


def mode_folder(log_root: Path, mode: str) -> Path:
    """Return the folder of one model: of its training, and of its evaluations.

    Args:
        log_root: of all projects.
        mode: name of the model.
    """
    return log_root / PROJECT / mode
