"""Which exercises to mark for whom; chapters and attempts are handed in separately."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError
from course_tools.grading.marking import Mark, Marked, glance
from course_tools.grading.rules import meant
from course_tools.grading.submissions import Submission

__all__ = ["Plan", "merged", "planned", "wanted"]


@dataclass(frozen=True)
class Plan:
    """What is to be done: for each submission, which exercises; and what is done.

    earlier: marks that stay, beside what is to do; others: marks of submissions that
    are not here and stay as they are
    """

    submissions: Sequence[Submission]
    todo: dict[str, list[str]]
    earlier: dict[str, Marked]
    others: list[Marked]

    @property
    def exercises(self) -> set[str]:
        return set().union(*self.todo.values())


def planned(
    submissions: Sequence[Submission],
    known: Sequence[Marked],
    exercises: Sequence[str],
    again: Sequence[str],
) -> Plan:
    """What has no mark yet, what was our fault, and what is to be marked again.

    known: marks so far, the latest last; exercises: asked for by name; again: words for
    what is to be marked anew, and then nothing else that has a mark is touched
    """
    glances = {one.name: glance(one) for one in submissions}
    held = {name: names for name, (names, _) in glances.items()}
    asked = wanted(submissions, held, exercises)
    latest = {one.submission: one for one in known}
    repeat = _anew(again, list(latest.values()), submissions)
    todo, earlier = {}, {}
    for name, names in asked.items():
        one, lost = latest.get(name), repeat.get(name, set())
        had = [mark.exercise for mark in one.marks] if one else []
        fresh = one is None or one.digest != glances[name][1] or "" in lost
        if fresh or (not again and had != (names or [""])):
            todo[name] = names
        else:
            lost |= {m.exercise for m in one.marks if m.status == "grader_error"}
            earlier[name], todo[name] = one, [n for n in had if n in lost]
    others = [one for name, one in latest.items() if again and name not in glances]
    plan = Plan(submissions, todo, earlier, others)
    if plan.exercises and not exercises:
        print("marking", ", ".join(n for n in EXERCISES if n in plan.exercises))
    return plan


def wanted(
    submissions: Sequence[Submission],
    held: Mapping[str, set[str]],
    exercises: Sequence[str],
) -> dict[str, list[str]]:
    """The exercises that each submission is to be marked in.

    held: what each seems to hold; exercises: asked for by name. Without names it is
    what at least half of the learners hand in, and for each learner what else is there.
    What a learner lacks is asked of one submission only: one that holds nothing, for it
    may say why, or the last.
    """
    groups: dict[tuple[str, str], list[Submission]] = {}
    for one in submissions:
        groups.setdefault(one.upload.who, []).append(one)
    whole = {
        who: set().union(*(held[one.name] for one in group))
        for who, group in groups.items()
    }
    common = set(exercises) or _common(whole.values())
    found = {}
    for who, group in groups.items():
        named = {one.name: held[one.name] for one in group}
        if exercises:
            named = {name: names & common for name, names in named.items()}
        last = max(group, key=lambda one: (not held[one.name], *_when(one)))
        named[last.name] = named[last.name] | (common - whole[who])
        found |= named
    return {
        one.name: [n for n in EXERCISES if n in found[one.name]] for one in submissions
    }


def _common(whole: Iterable[set[str]]) -> set[str]:
    counts = Counter(name for names in whole for name in names)
    least = sum(map(bool, whole)) / 2
    return {name for name, number in counts.items() if number >= least}


def _when(one: Submission) -> tuple[str, int, str]:
    return one.upload.handed_in, one.upload.attempt, one.name


def _anew(
    words: Sequence[str], known: Sequence[Marked], submissions: Sequence[Submission]
) -> dict[str, set[str]]:
    """The marks to be made anew: for each submission, in which exercises.

    words: exercises, as in --exercise; or learners, their numbers, or submissions
    raises: CourseError for a word that says nothing of these
    """
    here = {one.name: one.upload for one in submissions}
    has = {one.submission: {mark.exercise for mark in one.marks} for one in known}
    found: dict[str, set[str]] = {}
    for word in words:
        exercises = set(meant(word))
        asked = {}
        for name, upload in here.items():
            marks = has.get(name, set())
            if word.casefold() in {w.casefold() for w in (name, *upload.who) if w}:
                asked[name] = marks
            elif marks & exercises:
                asked[name] = marks & exercises
        if not asked:
            raise CourseError(
                f'--again "{word}": the report has no such mark.',
                "It may be an exercise (dpo_loss, 4.1, 04) that is marked already, or "
                "one of the submissions, a learner's name or number.",
                code=2,
            )
        for name, names in asked.items():
            found[name] = found.get(name, set()) | names
    return found


def merged(earlier: Marked | None, now: Marked) -> Marked:
    """All marks of a submission, where some have been made anew."""
    if earlier is None or now.digest != earlier.digest:
        return now
    by_name: dict[str, Mark] = {mark.exercise: mark for mark in earlier.marks}
    by_name |= {mark.exercise: mark for mark in now.marks}
    if len(by_name) > 1:
        by_name.pop("", None)
    order = {name: place for place, name in enumerate(EXERCISES)}
    marks = sorted(by_name.values(), key=lambda mark: order.get(mark.exercise, -1))
    return Marked(now.submission, now.upload, now.digest, tuple(marks))
