"""`check`, `hint`, `progress` and `yours`: what an exercise page calls."""

import contextlib
import os
import random
import sys
from collections.abc import Callable

from course_lib import workspace
from course_lib.checking.card import (
    Badge,
    Card,
    hint_card,
    progress_card,
    verdict_card,
)
from course_lib.checking.clinic_runs import Clinic, graded
from course_lib.checking.verdict import NOT_ATTEMPTED, PASSED, Examination, Verdict
from course_lib.exercises import EXERCISES, find
from course_lib.exercises.spec import Exercise
from course_lib.submission.observing import observe_all

__all__ = ["check", "hint", "progress", "yours"]

_hints_seen: dict[str, int] = {}


def check(function: Callable | Clinic) -> Card:
    """Check your function, and say what is wrong and why.

    function: the function itself, not its name: `check(preference_probability)`; or a
        clinic with your answers
    returns: a card; it shows itself when the call is the last line of a cell. `.state`
        is "not attempted", "not yet" or "passed"; `.diagnosis` says why, or is "".
        What is no function of an exercise gets a card that says what to write
    source: three states: not attempted, not yet, passed. Inputs are fresh each time.

    >>> from course_lib.preferences import preference_probability
    >>> check(preference_probability).state
    'passed'
    """
    if isinstance(function, Clinic):
        return graded(function)
    try:
        exercise = find(function)
    except (TypeError, ValueError) as error:
        says = str(error)
        return Card("check", NOT_ATTEMPTED, "", closing=says, diagnosis=says)
    return checked(exercise, function)


def hint(function: Callable, number: int | None = None) -> Card:
    """One hint more at each call, or all hints up to `number`.

    function: the exercise's function, in whatever state
    number: from 1 to the number of hints
    returns: a card with the hints so far
    raises: TypeError if it is not a function, ValueError if no exercise has its name
        or for a hint that does not exist
    source: from a nudge to the line itself

    >>> from course_lib.preferences import preference_probability
    >>> hint(preference_probability, 1).summary
    'hint 1 of 3'
    """
    exercise = find(function)
    if number is None:
        number = min(_hints_seen.get(exercise.name, 0) + 1, len(exercise.hints))
    if not 1 <= number <= len(exercise.hints):
        raise ValueError(f"number must be 1 to {len(exercise.hints)}, got {number}")
    _hints_seen[exercise.name] = max(number, _hints_seen.get(exercise.name, 0))
    return hint_card(exercise.name, number, exercise.hints)


def progress() -> Card:
    """What you have ever passed, by chapter, read from the file beside your copies.

    returns: a card with a row for each chapter of the course, and the next exercise
    source: `my_work/progress.json`; delete it to forget

    >>> progress().heading
    'Your exercises'
    """
    notes = {name: it for name, it in _read().items() if name in EXERCISES}
    states = {
        name: (PASSED if workspace.ever_passed(it) else it["state"], it["attempts"])
        for name, it in notes.items()
    }
    return progress_card(states, list(EXERCISES.values()))


def yours(function: Callable) -> Callable:
    """Your function if it passes its checks, else the course's; a badge says which.

    function: the exercise's function, in whatever state
    returns: a function that a picture can safely be drawn with
    raises: TypeError if it is not a function, ValueError if no exercise has its name
    source: the badge in the notebook turns stale once you redefine the function

    >>> from course_lib.preferences import preference_probability
    >>> yours(preference_probability) is preference_probability
    preference_probability · passed · what follows runs on your function
    True
    """
    verdict = _judged(find(function), function)
    passed = verdict.state == PASSED
    what = "your function" if passed else "the course's function until yours passes"
    _show_badge(function, verdict.state, f"what follows runs on {what}")
    return function if passed else verdict.exercise.reference


def checked(exercise: Exercise, function: Callable) -> Card:
    """The card of an exercise, and a note of it in the progress file."""
    verdict = _judged(exercise, function)
    _remember(verdict)
    return verdict_card(verdict)


def _judged(exercise: Exercise, function: Callable) -> Verdict:
    seed = random.SystemRandom().randrange(2**31)
    exam = Examination(exercise, seed=seed)
    return exam.judge(lambda calls: observe_all(function, calls))


def _read() -> dict[str, dict]:
    """The progress file; one that makes no sense is set aside, never written over."""
    path = workspace.work_folder() / "progress.json"
    notes = workspace.read(path)
    if notes == {}:
        with contextlib.suppress(OSError):
            os.replace(path, path.with_name("progress.unreadable.json"))
    return notes or {}


def _remember(verdict: Verdict):
    """Note the verdict beside the learner's copies, whole or not at all."""
    folder = workspace.work_folder()
    if not folder.is_dir():
        return
    notes = _read()
    entry = notes.setdefault(verdict.exercise.name, {"attempts": 0})
    entry["passed"] = workspace.ever_passed(entry) or verdict.state == PASSED
    entry["state"] = verdict.state
    entry["attempts"] += verdict.state != NOT_ATTEMPTED
    name = verdict.finding.name if verdict.finding else ""
    if name and name not in entry.get("mistakes", []):
        entry.setdefault("mistakes", []).append(name)
    try:
        workspace.write(folder / "progress.json", notes)
    except OSError as error:
        print(f"progress was not saved: {error}", file=sys.stderr)


def _show_badge(function: Callable, state: str, note: str):
    shell = _shell()
    badge = Badge(function.__name__, state, note)
    if shell is None:
        print(repr(badge))
        return
    from IPython.display import display

    handle = display(badge, display_id=True)

    def turn_stale(*_):
        if shell.user_ns.get(badge.name) is not function:
            again = "redefined since: run this cell again to draw with the new one"
            handle.update(Badge(badge.name, "stale", again))
            shell.events.unregister("post_run_cell", turn_stale)

    shell.events.register("post_run_cell", turn_stale)


def _shell():
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None
