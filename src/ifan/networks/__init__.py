"""The networks of the paper in PyTorch: what it draws and writes, free of files and of pictures.

| what the paper has | module |
|---|---|
| overview of the network: the whole | `ifan.networks.ifan` |
| in it, both encoders | `ifan.networks.layers` |
| in it, the filter predictor | `ifan.networks.predictor` |
| in it, the reconstructor | `ifan.networks.reconstructor` |
| Eq. 1, iterative adaptive convolution | `ifan.networks.iac` |
| disparity map estimation | `ifan.networks.disparity` |
| reblurring | `ifan.networks.reblurring` |
| Tables 1 and 5, what it is compared with | `ifan.networks.ablations` |
"""

from ifan.networks.iac import SeparableFilters, iterative_adaptive_convolution
from ifan.networks.ifan import IFAN
from ifan.networks.reblurring import ReblurringNetwork

__all__ = ["IFAN", "ReblurringNetwork", "SeparableFilters", "iterative_adaptive_convolution"]
