"""Simulated scenes as files, in the layout of the DPDD data set.

Photographs are found and judged, and scenes made of them, in several processes; a run that was
stopped, even killed, goes on where it was. Needs `ifan[train]`.
"""

from ifan.datasets.writing.layout import CONTACT_SHEET, SETTINGS
from ifan.datasets.writing.records import SceneRequest
from ifan.datasets.writing.running import Work
from ifan.datasets.writing.sources import Finding

__all__ = ["CONTACT_SHEET", "SETTINGS", "Finding", "SceneRequest", "Work"]
