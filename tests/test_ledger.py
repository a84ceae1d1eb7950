"""Every number in prose is true, and every step of a derivation holds.

`notebooks/ledger/NN.toml` lists, for a chapter,

- `[[claim]]`: `text`, a passage of the prose; `value`, an expression for the number in
  it; `says`, that number as it is written. Without `says`, `value` must be true.
- `[[equation]]`: `tag`, the number of a displayed step; `left`, `right` and `broken`,
  expressions on a random world: the first two agree, the third is a plausible mistake.

Expressions know the course's functions, `torch`, `math`, the five-response world as
`REF` and `R`, the season of chapter 01 as `WINS`, numbers of shipped runs as
`runs(field, method=...)` and their `mean`, those of chapter 06 as `variants(...)` and
`variant(field, method, arm)`, its guide as `advise(...)`, those of the film reviews as
`outcome(field, method, beta)` and `reviews_facts`, those of chapter 08's runs as
`logged(which, name)` and their mean as `seeds(...)`, differences between TRL's run and
the course's as `trl_parity(...)`, and in equations a random world:
`ref`, `r`, `beta`, another policy `q`, and indices `w` and `l` of two of its responses.
"""

import json
import math
import re
import statistics
import tomllib
from collections.abc import Callable
from functools import cache, partial

import pytest
import torch
from optima import hinge_optimum, surest_split
from reading import lesson, prose, read
from trl_parity import trl_parity

import course_lib
from course_lib import (
    datasets,
    failures,
    guide,
    logprobs,
    losses,
    policies,
    preferences,
    reviews,
    worlds,
)
from course_lib import variants as family
from course_lib.optional import missing_packages
from course_lib.transformer import SHIPPED
from course_lib.workspace import repository

FILES = sorted((repository() / "notebooks" / "ledger").glob("*.toml"))
LEDGERS = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in FILES}
CLAIMS = [(n, claim) for n, book in LEDGERS.items() for claim in book.get("claim", [])]
LONG = "steps=[2000]"  # a claim about a run of so many steps is for the slow half
EQUATIONS = [(n, e) for n, book in LEDGERS.items() for e in book.get("equation", [])]
chapters = pytest.mark.parametrize("number", LEDGERS)
WORLDS = 20
RUNS, VARIANTS, ESTIMATES = map(
    datasets.shipped_runs, ("frontier", "variants", "estimators")
)
runs, estimates = (partial(datasets.run_values, rows) for rows in (RUNS, ESTIMATES))
START = runs("reward", method="best_of_n", beta=1.0)[0]


@cache
def names() -> dict:
    """What an expression may use."""
    known = {"torch": torch, "math": math, "course_lib": course_lib, "reviews": reviews}
    for module in (preferences, policies, logprobs, losses, family, worlds):
        known |= {name: getattr(module, name) for name in module.__all__}
    ours = (mean, estimate, logged, seeds, outcome, variant, at_kl, first, kept)
    for function in (*ours, hinge_optimum, surest_split, trl_parity):
        known[function.__name__] = function
    known |= {"runs": runs, "estimates": estimates, "START": START}
    known["variants"] = partial(datasets.run_values, VARIANTS)
    known["advise"] = partial(guide.advise, VARIANTS)
    _, known["REF"], known["R"] = worlds.five_responses()
    _, known["WINS"] = datasets.wins_table(datasets.baseball_1987())
    facts = (SHIPPED / "reviews.json").read_text(encoding="utf-8")
    return known | {"reviews_facts": json.loads(facts)}


def mean(field: str, **having) -> float:
    return statistics.mean(runs(field, **having))


def estimate(method: str, arm: str, when: str = "end") -> float:
    """How far from π* an estimator ends, or where it was nearest."""
    found = estimates("distance", method=method, arm=arm, experiment=when)
    return statistics.mean(found)


def logged(which: str, name: str) -> list[float]:
    """One number of each seed's run in World S; see `failures.number`."""
    return [failures.number(run, which) for run in datasets.shipped_failures(name)]


def seeds(which: str, name: str) -> float:
    return statistics.mean(logged(which, name))


def outcome(field: str, method: str, beta: float) -> float:
    """The mean over seeds of what the film reviews' model came to."""
    rows = [
        r for r in reviews.shipped_outcomes() if (r.method, r.beta) == (method, beta)
    ]
    return statistics.mean(getattr(row, field) for row in rows)


def variant(field: str, method: str, arm: str) -> float:
    """A cell of chapter 06's table, at usual settings."""
    return guide.evidence(VARIANTS, field)[method, arm].mean


def at_kl(arm: str, kl: float) -> dict[str, guide.Evidence]:
    return guide.reward_at_kl(VARIANTS, arm, kl)


def first(field: str, arm: str, better: Callable = min) -> list[str]:
    """The best of a column, and then all that tie with it."""
    table = guide.evidence(VARIANTS, field).items()
    best, *ties = guide.leaders([cell for (_, a), cell in table if a == arm], better)
    return [best.variant, *sorted(cell.variant for cell in ties)]


def kept(method: str) -> float:
    """What share of the reward gained at 0.5 nats is left with flipped labels."""
    noisy, clean = (at_kl(arm, 0.5)[method].mean for arm in ("20 % noise", "clean"))
    return (noisy - START) / (clean - START)


@cache
def random_names(seed: int) -> dict:
    """The same, with a random world."""
    world = worlds.random_world(seed, responses=6)
    random = torch.Generator().manual_seed(1000 + seed)
    other = torch.randn(6, generator=random, dtype=torch.float64)
    w, l = torch.randperm(6, generator=random)[:2].tolist()  # noqa: E741
    beta = 0.2 + 1.5 * float(torch.rand(1, generator=random))
    return names() | {
        "ref": world.ref,
        "r": world.rewards,
        "q": torch.softmax(other, -1),
        "beta": beta,
        "w": w,
        "l": l,
    }


def value(expression: str, known: dict):
    return eval(expression.strip(), dict(known))


def flat(text: str) -> str:
    return " ".join(text.split())


def decimals(written: str) -> int:
    return len(written.partition(".")[2])


def number_of(written: str) -> float:
    return float(written.replace("−", "-").replace(",", ""))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "claim"),
    [
        pytest.param(*c, marks=[pytest.mark.slow] * (LONG in c[1]["value"]))
        for c in CLAIMS
    ],
    ids=lambda v: v if isinstance(v, str) else v["text"][:40],
)
def test_a_claim_is_in_the_prose_and_true(number, claim):
    assert flat(claim["text"]) in flat(prose(lesson(number)))
    if "trl_parity" in claim["value"] and (lacking := missing_packages("production")):
        pytest.skip(lacking)
    found = value(claim["value"], names())
    if "says" not in claim:
        assert found is True or (isinstance(found, torch.Tensor) and bool(found.all()))
        return
    assert claim["says"] in claim["text"]
    written = number_of(claim["says"])
    half = 0.5 * 10 ** -decimals(claim["says"])
    assert abs(float(found) - written) <= half * (1 + 1e-9), float(found)


@pytest.mark.parametrize(
    ("number", "step"), EQUATIONS, ids=lambda v: v if isinstance(v, str) else v["tag"]
)
def test_a_step_holds_on_random_worlds_and_its_broken_twin_does_not(number, step):
    for seed in range(WORLDS):
        known = random_names(seed)
        left, right, broken = (
            torch.as_tensor(value(step[side], known), dtype=torch.float64)
            for side in ("left", "right", "broken")
        )
        scale = 1 + float(right.abs().max())
        assert float((left - right).abs().max()) < 1e-10 * scale
        assert float((broken - right).abs().max()) > 1e-3, f"world {seed}"


@chapters
def test_every_displayed_step_has_its_tag_and_every_tag_its_step(number):
    shown = re.findall(r"\$\$(.*?)\$\$", prose(lesson(number)), re.S)
    tags = [re.findall(r"\\tag\{(.*?)\}", formula) for formula in shown]
    assert all(len(found) == 1 for found in tags), shown
    listed = [step["tag"] for chapter, step in EQUATIONS if chapter == number]
    assert [found[0] for found in tags] == listed
    assert all(tag.startswith(f"{int(number)}.") for tag in listed)


NUMBER = r"(?<![\w.^])[−-]?\d+\.\d+(?![\d.]*\w)"


@chapters
def test_every_decimal_in_prose_is_claimed_or_was_printed_above(number):
    known = " ".join(claim["text"] for n, claim in CLAIMS if n == number)
    known += " ".join(step["tag"] for n, step in EQUATIONS if n == number)
    text = []
    for cell in read(lesson(number)).cells:
        if cell.cell_type == "markdown":
            words = re.sub(r"[Ee]xercises? \d\.\d|§\d+\.\d+", "", cell.source)
            words = re.sub(r"\]\(.*?\)|`.*?`|\\tag\{.*?\}", "", words)
            text += [(n, known) for n in re.findall(NUMBER, words)]
        else:
            known += " " + cell.source + " " + str(cell.outputs)
    strange = [n for n, seen in text if n.strip("−-") not in seen]
    assert not strange


def test_a_false_claim_would_be_noticed():
    known = names()
    assert value("log_partition(REF, R, 0.5)", known) == pytest.approx(4.8356176656)
    known = random_names(0)
    assert not torch.allclose(known["ref"], known["q"])
    assert known["w"] != known["l"]
