"""The report of an evaluation: one HTML file that needs nothing from elsewhere."""

from ifan.evaluation.report.page import write_report

__all__ = ["write_report"]
