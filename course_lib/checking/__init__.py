"""What an exercise page calls: `check`, `hint`, `progress`, `yours`, and the clinic."""

from course_lib.checking.api import check, hint, progress, yours
from course_lib.checking.clinic_runs import Clinic, clinic

__all__ = ["Clinic", "check", "clinic", "hint", "progress", "yours"]
