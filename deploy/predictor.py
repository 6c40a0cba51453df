"""The predictor of `cog.yaml`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path as FilePath

from cog import BasePredictor, Input, Path

sys.path.insert(0, str(FilePath(__file__).parents[1] / "src"))  # Cog copies the source only

from ifan import Deblurrer
from ifan.results import default_target


class Predictor(BasePredictor):
    """Turns out-of-focus photographs into sharp ones."""

    def setup(self) -> None:
        """Load the network."""
        self._deblurrer = Deblurrer()
        self._deblurrer.load()

    def predict(
        self,
        image: Path = Input(description="A photograph: JPEG, PNG, TIFF, WebP, AVIF, HEIC or RAW"),
        strength: float = Input(description="How much to correct", ge=0, le=1, default=1.0),
    ) -> Path:
        """Deblur a photograph; metadata, colours and bit depth are kept."""
        folder = FilePath(tempfile.mkdtemp())  # Cog removes what it was given, once it is sent
        target = folder / default_target(FilePath(image)).name
        return Path(self._deblurrer.deblur_file(image, target, strength=strength))
