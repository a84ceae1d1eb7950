"""One thing that was seen in a log, and what it makes of the run."""

from functools import partial
from typing import NamedTuple

__all__ = ["FAULTY", "STATES", "Finding", "healthy", "sick", "suspicious"]

STATES = ("healthy", "healthy_start", "inconclusive", "suspicious", "sick")
FAULTY = ("suspicious", "sick")


class Finding(NamedTuple):
    """One thing that was seen in a log.

    name: its class, such as "frozen_policy"
    says: what was seen, and what it can and cannot mean
    rows: of the log, from 1
    experiment: what would settle it
    status: what it makes of the run, one of STATES
    """

    name: str
    says: str
    rows: tuple[int, ...] = ()
    experiment: str = ""
    status: str = "inconclusive"


healthy = partial(Finding, status="healthy")
suspicious = partial(Finding, status="suspicious")
sick = partial(Finding, status="sick")
