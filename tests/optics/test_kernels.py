import pytest

from ifan.optics import PointSpreadFunction
from ifan.optics.kernels import tabulate


def test_endless_blur_is_refused():
    with pytest.raises(ValueError, match="1000 px and more cannot be rendered"):
        tabulate(PointSpreadFunction(), 0, 1000)
