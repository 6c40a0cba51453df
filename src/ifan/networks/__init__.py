"""The networks of the paper in PyTorch: what the figures show, free of files and of pictures.

| figure, equation of the paper | module |
|---|---|
| Fig. 2, the whole network | `ifan.networks.ifan` |
| Fig. 2, both encoders | `ifan.networks.layers` |
| Fig. 2, filter predictor | `ifan.networks.predictor` |
| Fig. 2, reconstructor | `ifan.networks.reconstructor` |
| Eq. 1 and Fig. 3, iterative adaptive convolution | `ifan.networks.iac` |
| Fig. 4, disparity map estimation | `ifan.networks.disparity` |
| Fig. 5, reblurring | `ifan.networks.reblurring` |
| Tables 1 and 5, what it is compared with | `ifan.networks.ablations` |
"""

from ifan.networks.iac import SeparableFilters, iterative_adaptive_convolution
from ifan.networks.ifan import IFAN
from ifan.networks.reblurring import ReblurringNetwork

__all__ = ["IFAN", "ReblurringNetwork", "SeparableFilters", "iterative_adaptive_convolution"]
