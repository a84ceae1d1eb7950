"""Real choices, small enough to read, and tables that the course ships.

A baseball season and four journals: facts only, typed in; their published analyses are
the oracles of notebook 01. Runs that `remake` makes again. What libraries mean by β.
"""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.table import Table

__all__ = [
    "Convention",
    "InstructRun",
    "LoggedRun",
    "Run",
    "Series",
    "baseball_1987",
    "citations",
    "conventions_table",
    "run_values",
    "shipped_conventions",
    "shipped_failures",
    "shipped_instruct",
    "shipped_runs",
    "trainer_speed",
    "wins_table",
]


class Series(NamedTuple):
    """All games that one pair of teams played in the first team's stadium."""

    home: str
    away: str
    home_wins: int
    away_wins: int


TEAMS = (
    "Baltimore",
    "Boston",
    "Cleveland",
    "Detroit",
    "Milwaukee",
    "New York",
    "Toronto",
)

# rows: at home; columns: away; "won-lost" of the home team, in the order of TEAMS
_SEASON = """
Baltimore  -    1-6  3-4  1-5  2-5  2-4  1-6
Boston     6-0  -    5-2  2-5  5-1  4-2  3-3
Cleveland  2-4  4-2  -    3-3  2-5  4-3  3-4
Detroit    4-3  6-0  6-1  -    3-3  4-3  4-2
Milwaukee  6-0  6-1  4-2  4-3  -    4-3  4-2
New York   6-1  4-3  4-2  5-1  3-3  -    2-5
Toronto    6-0  4-3  4-2  4-3  2-5  2-4  -
"""


def baseball_1987() -> list[Series]:
    """The 1987 season of the American League's East division: 42 rows, 273 games.

    returns: one `Series` for each ordered pair of the seven teams, Baltimore first
    source: Agresti (2002), Categorical Data Analysis, Table 10.10

    >>> baseball_1987()[0]
    Series(home='Baltimore', away='Boston', home_wins=1, away_wins=6)
    """
    season = []
    for home, line in zip(TEAMS, _SEASON.strip().splitlines(), strict=True):
        cells = line.removeprefix(home).split()
        for away, cell in zip(TEAMS, cells, strict=True):
            if away != home:
                won, lost = cell.split("-")
                season.append(Series(home, away, int(won), int(lost)))
    return season


def citations() -> tuple[tuple[str, ...], list[list[int]]]:
    """How often four statistics journals cited each other.

    returns: the journals' names, and cited[i][j] = citations of journal i in journal j
    source: Stigler (1994), Citation patterns in the journals of statistics

    >>> journals, cited = citations()
    >>> journals[0], journals[1], cited[0][1]
    ('Biometrika', 'Comm Statist', 730)
    """
    journals = ("Biometrika", "Comm Statist", "JASA", "JRSS-B")
    cited = [
        [714, 730, 498, 221],
        [33, 425, 68, 17],
        [320, 813, 1072, 142],
        [284, 276, 325, 188],
    ]
    return journals, cited


def wins_table(season: Sequence[Series]) -> tuple[list[str], Tensor]:
    """Count a season's results, whoever was at home.

    season: rows as `baseball_1987` gives them
    returns: the names in alphabetical order, and wins[i, j] = how often i beat j,
        float64, shape (items, items)
    raises: ValueError if the season is empty
    source: the definition

    >>> names, wins = wins_table([Series("A", "B", 3, 1), Series("B", "A", 2, 2)])
    >>> names, wins.tolist()
    (['A', 'B'], [[0.0, 5.0], [3.0, 0.0]])
    """
    if not season:
        raise ValueError("season is empty")
    names = sorted({row.home for row in season} | {row.away for row in season})
    wins = torch.zeros(len(names), len(names), dtype=torch.float64)
    for row in season:
        home, away = names.index(row.home), names.index(row.away)
        wins[home, away] += row.home_wins
        wins[away, home] += row.away_wins
    return names, wins


class Run(NamedTuple):
    """A training run in an exact world, scored exactly; means over the prompts."""

    experiment: str
    arm: str  # what was varied besides, "" for nothing
    method: str
    beta: float  # what the method's knob was set to
    seed: int
    reward: float  # E[r], true
    kl: float  # KL(π‖π_ref), nats
    shortfall: float  # reward left at this KL, against the exact frontier
    distance: float  # KL(π‖π*_β), nats; nan where β is not a KL strength
    entropy: float  # nats
    length: float  # expected words
    chosen: float  # mean log-ratio of held-out chosen responses, nats; nan at −∞
    rejected: float
    seconds: float  # of CPU


def shipped_runs(name: str) -> list[Run]:
    """The runs of a table that the course ships and `remake NAME` makes again.

    name: "frontier", "variants" or "estimators"
    raises: FileNotFoundError if there is no such table
    """
    return table_of(Run, name)


class LoggedRun(NamedTuple):
    """What one run logged, and what was true of it: see `failures.broken_run`.

    Rows hold step (from 1, a batch is measured before its update), loss, chosen,
    rejected and margin (rewards, with β), accuracy (a tie is lost), chosen_logps and
    rejected_logps (nats) and grad_norm (before clipping). Looks hold the steps done,
    the same of held-out pairs under eval_…, and the truth: reward, kl, distance (to π*
    of β 0.5), entropy, all nats; shortfall; length, words; held_out, the accuracy on
    healthy pairs, and its ceiling.
    """

    name: str
    seed: int
    rows: list[dict[str, float]]
    looks: list[dict[str, float]]


def shipped_failures(*names: str) -> list[LoggedRun]:
    """The failures that the course ships and `remake failures` makes again.

    names: of `failures.FAILURES`, HEALTHY, BESIDE and CURES; none for all
    returns: five runs a name, seeds 0 to 4, of 120 steps; numbers have four digits,
        and five decimals at most
    raises: ValueError for a name that is not there

    >>> [run.seed for run in shipped_failures("beta_zero")]
    [0, 1, 2, 3, 4]
    """
    text = (DATA / "failures.jsonl").read_text(encoding="utf-8")
    shared, *told = [json.loads(line) for line in text.splitlines()]
    for name in set(names) - {run[0] for run in told}:
        raise ValueError(f"there is no run with the name {name!r}")
    return [
        LoggedRun(
            name, seed, _by_row(shared["rows"], rows), _by_row(shared["looks"], looks)
        )
        for name, seed, rows, looks in told
        if not names or name in names
    ]


def _by_row(shared: dict, columns: list[list[float]]) -> list[dict[str, float]]:
    """Rows from columns, with the margins that follow from both sides' rewards.

    shared: `same`, columns that all runs have in common, and the names of the others
    """
    named = {**shared["same"], **dict(zip(shared["names"], columns, strict=True))}
    for part in ("", "eval_"):
        if part + "chosen" in named:
            sides = named[part + "chosen"], named[part + "rejected"]
            named[part + "margin"] = [c - r for c, r in zip(*sides, strict=True)]
    return [
        dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)
    ]


DATA = Path(__file__).with_name("data")


def table_rows(name: str) -> list[dict[str, str]]:
    """The rows of a table in `DATA`, by its header."""
    path = DATA / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table_of(kind: type, name: str) -> list:
    """The same as NamedTuples of a kind, each cell of the type that its field has."""
    types = kind.__annotations__
    return [
        kind(*(types[field](row[field]) for field in types)) for row in table_rows(name)
    ]


def run_values(runs: Sequence[Run], field: str, **where: object) -> list[float]:
    """One number of each run that is meant, such as all seeds of a method at a β.

    runs: of `shipped_runs`; field: which number; where: what the runs must have
    raises: ValueError if there is no such run

    >>> run = Run("frontier", "", "dpo", 0.5, 3, *[0.25] * 9)
    >>> run_values([run], "kl", method="dpo", beta=0.5)
    [0.25]
    """
    found = [
        getattr(run, field)
        for run in runs
        if all(getattr(run, name) == value for name, value in where.items())
    ]
    if not found:
        raise ValueError(f"there is no run with {where}")
    return found


class Convention(NamedTuple):
    """What one library answers to one question about a loss, read in its source.

    `ours` is the same by `course_lib.losses`, or "" where no call of ours is. It takes

        four, two, none    summed log-probs: the FOUR, the policy's two, and two zeros
        averages, lengths  the policy's two per token; the lengths as keyword arguments
        nll, nll_of_all    means over the tokens of a chosen answer, or of prompt and
                           answer, shape (batch,)
        one, others        of KTO: log-probs and labels; log-probs of mismatched pairs

    and the library's settings by names: beta, gamma, ratio (γ/β), epsilon, alpha (λ).
    """

    asks: str
    library: str
    repository: str
    version: str  # a release, or the first digits of the commit that was read
    file: str
    loss: str
    answer: str
    ours: str


def shipped_conventions(asks: str | None = None) -> list[Convention]:
    """How libraries differ in what they call by one name.

    asks: keep one question: "sum or average" (of log-probs), "weight" (of the odds
        ratio), "gamma", "label_smoothing", "NLL" (over which tokens), "log(1 - p)",
        "hinge", "reference point", "no reference" or "logged margin"
    raises: ValueError if nobody was asked that
    source: the named file of each library, at the named version

    >>> [row.library for row in shipped_conventions("gamma") if "γ/β" in row.answer]
    ["SimPO's authors", 'open-instruct']
    """
    rows = table_of(Convention, "conventions")
    found = [row for row in rows if asks in (None, row.asks)]
    if not found:
        known = ", ".join(dict.fromkeys(row.asks for row in rows))
        raise ValueError(f"asks must be one of {known}, got {asks!r}")
    return found


def conventions_table(asks: str) -> Table:
    """A question's answers, a library a row.

    asks: as for `shipped_conventions`, which also says what raises
    source: as for `shipped_conventions`

    >>> print(conventions_table("hinge"))
    hinge
    library and version  loss   answer
    TRL 1.16.0           hinge  max(0, 1 − βh)
    torchtune 0140dc5    hinge  max(0, 1 − γh): RSOLoss calls β gamma
    HALOs 031a524        SLiC   max(0, β − Δ log π) + λ NLL, no reference
    """
    rows = [
        (f"{row.library} {row.version}", row.loss, row.answer)
        for row in shipped_conventions(asks)
    ]
    return Table(asks, ["library and version", "loss", "answer"], rows)


class InstructRun(NamedTuple):
    """One run of the instruction model, or what it is compared with.

    `reward` and `kl` are an estimate and the ends of its 95 % interval over prompts.
    """

    task: str  # "films" or "you"
    method: str  # "tried" (on prompts to choose by), "before", "best_of_n" or "dpo"
    beta: float  # for best_of_n: n
    lr: float
    seed: int
    pairs: int
    reward: tuple[float, float, float]
    kl: tuple[float, float, float]  # nats; for best_of_n the bound log n − (n − 1)/n
    seconds: float  # by the clock
    cpu_seconds: float
    peak_gb: float  # memory of the process until then
    words: list[tuple[float, str]]  # the first answer to each prompt, with its reward


def shipped_instruct(task: str) -> tuple[dict, list[InstructRun]]:
    """What SmolLM2-135M-Instruct learned from its own answers, on a CPU.

    task: "films", praise in what it writes of films; or "you", answers that speak to
        the reader
    returns: the facts of the measuring (date, machine, precision, depth, temperature,
        steps and more), and the runs
    raises: ValueError for another task
    source: made by `python3 -m course_lib remake instruct`

    >>> [run.beta for run in shipped_instruct("films")[1] if run.method == "best_of_n"]
    [2.0, 4.0, 8.0]
    """
    facts = json.loads((DATA / "instruct.json").read_text(encoding="utf-8"))
    rows, runs = facts.pop("rows"), []
    for row in rows:
        best = {n: row.pop(f"best_of_{n}", None) for n in (2, 4, 8)}
        row = {"kl": [0.0, 0.0, 0.0], "pairs": 0, **row}
        known = {name: row[name] for name in InstructRun._fields}
        run = InstructRun(**known | {"reward": (*row["reward"],), "kl": (*row["kl"],)})
        runs.append(run)
        for n, reward in best.items():
            if reward:
                bound = (math.log(n) - (n - 1) / n,) * 3
                told = {"method": "best_of_n", "beta": float(n), "kl": bound}
                runs.append(run._replace(**told, reward=(*reward,), words=[]))
    if task not in (known := sorted({run.task for run in runs})):
        raise ValueError(f"task must be one of {', '.join(known)}, got {task!r}")
    return facts, [run for run in runs if run.task == task]


def trainer_speed(told: dict | None = None) -> str:
    """How fast the trainer is beside TRL's DPOTrainer, and what its tricks bring.

    told: what `python3 -m course_lib bench trainer --json` measured, from its last
        line; None for what the course ships
    returns: a table as text: milliseconds a step, real tokens a CPU second and the
        ratio to TRL, by trainer; how far the losses are apart; the memory of scoring
    source: the bench `trainer`, run once on the computer that its last line names

    >>> print(*trainer_speed().splitlines()[:3], sep="\\n")
                                 ms a step  tokens/s  x TRL
    TRL                                330      3989   1.00
    TRL, reference precomputed         241      5306   1.33
    """
    told = told or json.loads((DATA / "trainer.json").read_text(encoding="utf-8"))
    first, *tricks = told["ladder"]
    called = {first: "ours, no trick"}
    called |= {name: f"  + {name}" for name in (*tricks, "compiled blocks")}
    lines = [f"{'':28}{'ms a step':>10}{'tokens/s':>10}{'x TRL':>7}"]
    rates, spent = told["tokens_per_second"], told["milliseconds"]
    for name, rate in rates.items():
        numbers = f"{spent[name]:10.0f}{rate:10.0f}{rate / rates['TRL']:7.2f}"
        lines.append(f"{called.get(name, name):28}{numbers}")
    lines.append(f"{'the two of them alone':28}{told['ratio_to_trl']:27.2f}")
    loss, weight = told["trajectory_max_diff"], told["weights_max_diff"]
    lines.append(f"same batches: losses differ by {loss:.0e}, weights by {weight:.0e}")
    lines.append(f"{'memory of scoring, MiB':28}{'whole':>10}{'chunked':>10}")
    for vocab, both in told["memory_mib"].items():
        label = f"  vocabulary of {int(vocab):,}"
        lines.append(f"{label:28}{both['whole']:10.0f}{both['chunked']:10.0f}")
    lines += _gpu_speed(told["gpu"])
    return "\n".join(lines) + (
        f"\n{told['date']}, {told['cores']} cores, load {told['load_average'][0]:.1f}, "
        f"torch {told['versions']['torch']}, trl {told['versions']['trl']}"
    )


def _gpu_speed(told: dict | str) -> list[str]:
    if isinstance(told, str):  # not measured
        return [f"{'GPU':28}{told:>20}"]
    heads = ("ms a step", "p10", "p90", "tokens/s", "MFU", "MiB")
    lines = [told["device"], " " * 10 + "".join(f"{head:>12}" for head in heads)]
    for layout, row in told.items():
        if layout != "device":
            names = ("milliseconds", "p10", "p90", "tokens_per_second")
            numbers = "".join(f"{row[name]:12,.1f}" for name in names)
            share, most = row["mfu"], row["peak_mib"]
            numbers += f"{share:12.1%}" if isinstance(share, float) else f"{share:>16}"
            numbers += f"{most:12,.0f}" if isinstance(most, float) else f"{most:>14}"
            lines.append(f"{layout:10}{numbers}")
    return lines
