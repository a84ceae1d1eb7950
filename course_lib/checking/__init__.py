"""What an exercise page calls: `check`, `hint`, `progress`, `yours`."""

from course_lib.checking.api import check, hint, progress, yours

__all__ = ["check", "hint", "progress", "yours"]
