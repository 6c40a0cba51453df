"""Many photographs: which file becomes which, and what became of each."""

from ifan.worklist.planning import plan
from ifan.worklist.report import Report
from ifan.worklist.running import run
from ifan.worklist.tasks import STREAM, Outcome, Task

__all__ = ["STREAM", "Outcome", "Report", "Task", "plan", "run"]
