"""OpenVINO, without what it would send.

On import OpenVINO reports to its makers over the network and leaves a file in the home folder,
unless its telemetry package cannot be imported; it goes without then. Photographs are private, so
in this process it cannot.
"""

from __future__ import annotations

import sys

_TELEMETRY = "openvino_telemetry"

_before = sys.modules.get(_TELEMETRY)
sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
try:
    import openvino
finally:
    if _before is None:
        del sys.modules[_TELEMETRY]
    else:
        sys.modules[_TELEMETRY] = _before

__all__ = ["openvino"]
