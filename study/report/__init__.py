"""The report: rows to tables and plots, on one HTML page and its Markdown twin."""

from .report import write

__all__ = ["write"]
