"""Read anybody's log of a preference run and say what it shows, and what it cannot."""

from course_lib.diagnosis.verdict import Verdict, diagnose

__all__ = ["Verdict", "diagnose"]
