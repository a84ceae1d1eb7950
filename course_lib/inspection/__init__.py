"""Read anybody's preference data and say what is wrong with it, line by line."""

from course_lib.inspection.findings import Finding
from course_lib.inspection.inspecting import inspect
from course_lib.inspection.report import Report

__all__ = ["Finding", "Report", "inspect"]
