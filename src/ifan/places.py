"""Where `ifan` keeps what is its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs

_OF_SYSTEM = {
    "data": platformdirs.user_data_path,
    "cache": platformdirs.user_cache_path,
    "config": platformdirs.user_config_path,
}


def place(kind: Literal["data", "cache", "config"]) -> Path:
    """Return the folder for files of a kind: `$IFAN_HOME`, or the system's place for them."""
    home = os.environ.get("IFAN_HOME")
    return Path(home) if home else _OF_SYSTEM[kind]("ifan")
