"""Oracles that share no code with the library: mpmath at 50 digits and slow loops.

A `Case` is one loss with one setting: its inputs by kind, its options, and its formula
for a single example, written a second time for mpmath.
"""

import inspect
import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace

import mpmath
import pytest
import torch
from hypothesis import settings

from course_lib import losses, preferences, variants

torch.set_num_threads(1)

F64 = torch.float64
# derandomised: the same examples in every run
PROPERTY = settings(deadline=None, max_examples=40, derandomize=True, database=None)

mp = mpmath.mp.clone()  # a context of our own: the global precision stays as it was
mp.dps = 50

FOUR = dict.fromkeys(variants.FOUR, "logps")
AVERAGES = dict.fromkeys(
    ("policy_chosen_avg_logps", "policy_rejected_avg_logps"), "averages"
)
LENGTHS = {"chosen_lengths": "lengths", "rejected_lengths": "lengths"}
REWARDS = {"chosen_rewards": "logps", "rejected_rewards": "logps"}
SINGLE = {"policy_logps": "logps", "ref_logps": "logps", "desirable": "desirable"}
RANKED = {"policy_logps": "items", "ref_logps": "items", "ranking": "ranking"}
NLL = {"nll": "nll"}
DIFFERENTIABLE = ("logps", "averages", "nll", "magnitude", "items")


def tensor(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Case:
    """One loss with one setting of its options."""

    def __init__(self, name: str, inputs: dict, formula, **options):
        function = name.partition(":")[0]
        homes = (losses, variants, preferences)
        (home,) = (module for module in homes if function in module.__all__)
        self.name, self.loss = name, getattr(home, function)
        self.inputs, self.formula, self.options = inputs, formula, options
        self.differentiable = [
            input for input, kind in inputs.items() if kind in DIFFERENTIABLE
        ]

    def __call__(self, given: dict, **more):
        return self.loss(**given, **{**self.options, **more})

    def exact(self, row: dict):
        """The loss of one example; `row` maps each input to a number or a list."""
        o = SimpleNamespace(**row, **_exact(self.options))
        if "ref_chosen_logps" in row:
            o.u = o.policy_chosen_logps - o.ref_chosen_logps
            o.v = o.policy_rejected_logps - o.ref_rejected_logps
            o.h = o.u - o.v
        return self.formula(o)

    def slope(self, row: dict, name: str, index: int | None = None):
        """Its derivative in one input, a difference quotient at 100 digits."""

        def along(x):
            if index is None:
                return self.exact({**row, name: x})
            others = row[name]
            moved = [*others[:index], x, *others[index + 1 :]]
            return self.exact({**row, name: moved})

        return mp.diff(along, row[name] if index is None else row[name][index])


def _exact(value):
    """A float64 is a rational number, and mpf keeps all of it."""
    if isinstance(value, dict):
        return {key: _exact(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_exact(one) for one in value]
    return mp.mpf(value) if isinstance(value, float) else value


def sigma(x):
    return 1 / (1 + mp.exp(-x))


def cost(x):
    """−log σ(x)"""
    return mp.log1p(mp.exp(-x))


def log_odds(average):
    return average - mp.log(-mp.expm1(average))


def plackett_luce(scores, ranking):
    """Pick the best, remove it, pick again."""
    left, total = list(ranking), mp.mpf(0)
    while left:
        total += scores[left[0]] - mp.log(sum(mp.exp(scores[item]) for item in left))
        left.pop(0)
    return total


def _dpo(o):
    return cost(o.beta * o.h)


def _cdpo(o):
    return (1 - o.label_smoothing) * _dpo(o) + o.label_smoothing * cost(-o.beta * o.h)


def _robust(o):
    e = o.label_smoothing
    return ((1 - e) * _dpo(o) - e * cost(-o.beta * o.h)) / (1 - 2 * e)


def _per_token(o):
    return o.u / o.chosen_lengths - o.v / o.rejected_lengths


def _f_dpo(f_prime):
    # each f′ keeps its additive constant here: it has to cancel
    return lambda o: cost(o.beta * (f_prime(o.u) - f_prime(o.v)))


def _exo(o):
    m, e = o.beta * o.h, o.label_smoothing
    right = sigma(m) * (-cost(m) - mp.log(1 - e))
    return right + sigma(-m) * (-cost(-m) - mp.log(e))


def _nca(o):
    away = cost(-o.beta * o.u) / 2 + cost(-o.beta * o.v) / 2
    return cost(o.beta * o.u) + away


def _bco(o):
    return cost(o.beta * o.u) + cost(-o.beta * o.v)


def _apo_zero(o):
    return 1 - sigma(o.beta * o.u) + sigma(o.beta * o.v)


def _apo_down(o):
    return sigma(o.beta * o.u) + 1 - sigma(o.beta * o.h)


def _sppo(o):
    target = 1 / (2 * o.beta)
    return (o.u - target) ** 2 + (o.v + target) ** 2


def _pl_dpo(o):
    pairs = zip(o.policy_logps, o.ref_logps, strict=True)
    return -plackett_luce([o.beta * (p - r) for p, r in pairs], o.ranking)


def _kto(o):
    reward = o.beta * (o.policy_logps - o.ref_logps - o.kl)
    if o.desirable:
        return o.desirable_weight * (1 - sigma(reward))
    return o.undesirable_weight * (1 - sigma(-reward))


def _orpo(o):
    gap = log_odds(o.policy_chosen_avg_logps) - log_odds(o.policy_rejected_avg_logps)
    return o.nll + o.weight * cost(gap)


def _simpo(o):
    target = o.beta * o.gamma if getattr(o, "gamma_is_ratio", False) else o.gamma
    pair = (o.policy_chosen_avg_logps, o.policy_rejected_avg_logps)
    if hasattr(o, "alpha"):
        pair = [(1 - mp.exp(-o.alpha * average)) / o.alpha for average in pair]
    return cost(o.beta * (pair[0] - pair[1]) - target)


def _cpo(o):
    gap = o.policy_chosen_logps - o.policy_rejected_logps
    return cost(o.beta * gap) + o.weight * o.nll


def _reward(o):
    gap = o.chosen_rewards - o.rejected_rewards
    free = getattr(o, "centering", 0) * (o.chosen_rewards + o.rejected_rewards) ** 2
    match getattr(o, "kind", "bt"):
        case "bt":
            return cost(gap) + free
        case "margin":
            return cost(gap - o.magnitude) + free
        case "scaled":
            return o.magnitude * cost(gap) + free


_PER_TOKEN = FOUR | LENGTHS
_PAIR = {name: FOUR[name] for name in variants.FOUR[:2]}
_MAGNITUDE = REWARDS | {"magnitude": "magnitude"}
_SMOOTH = {"beta": 0.1, "label_smoothing": 0.2}
_WEIGHTS = {"desirable_weight": 1.33, "undesirable_weight": 0.5}
_ALPHA = {"divergence": "alpha", "alpha": 0.5}
_F = {
    "reverse": _f_dpo(lambda u: u + 1),
    "forward": _f_dpo(lambda u: -mp.exp(-u)),
    "js": _f_dpo(lambda u: mp.log(2) - cost(u)),
    "alpha": _f_dpo(lambda u: (1 - mp.exp(-u / 2)) * 2),
}
CASES = [
    Case("dpo_loss", FOUR, _dpo, beta=0.1),
    Case("dpo_loss:smoothed", FOUR, _cdpo, **_SMOOTH),
    Case("robust_dpo_loss", FOUR, _robust, **_SMOOTH),
    Case("ipo_loss", FOUR, lambda o: (o.h - 1 / (2 * o.tau)) ** 2, tau=0.3),
    Case(
        "ipo_loss:per token",
        _PER_TOKEN,
        lambda o: (_per_token(o) - 1 / (2 * o.tau)) ** 2,
        tau=0.3,
    ),
    Case("hinge_loss", FOUR, lambda o: max(mp.zero, 1 - o.beta * o.h), beta=0.1),
    Case(
        "length_normalized_dpo_loss",
        _PER_TOKEN,
        lambda o: cost(o.beta * _per_token(o)),
        beta=5.0,
    ),
    Case(
        "dpo_nll_loss",
        FOUR | NLL,
        lambda o: _dpo(o) + o.weight * o.nll,
        beta=0.1,
        weight=0.7,
    ),
    Case("f_dpo_loss:1", FOUR, _F["reverse"], beta=0.1, divergence="reverse_kl"),
    Case("f_dpo_loss:2", FOUR, _F["forward"], beta=0.1, divergence="forward_kl"),
    Case("f_dpo_loss:3", FOUR, _F["js"], beta=0.8, divergence="js"),
    Case("f_dpo_loss:4", FOUR, _F["alpha"], beta=0.1, **_ALPHA),
    Case("exo_loss", FOUR, _exo, beta=0.1, label_smoothing=0.01),
    Case("nca_loss", FOUR, _nca, beta=0.1),
    Case("bco_loss", FOUR, _bco, beta=0.1),
    Case("apo_zero_loss", FOUR, _apo_zero, beta=0.1),
    Case("apo_down_loss", FOUR, _apo_down, beta=0.1),
    Case("sppo_loss", FOUR, _sppo, beta=0.4),
    Case("plackett_luce_dpo_loss", RANKED, _pl_dpo, beta=0.1),
    Case("kto_loss", SINGLE, _kto, kl=0.75, beta=0.1, **dict.fromkeys(_WEIGHTS, 1.0)),
    Case("kto_loss:weighted", SINGLE, _kto, kl=0.75, beta=0.1, **_WEIGHTS),
    Case("orpo_loss", AVERAGES | NLL, _orpo, weight=0.25),
    Case("simpo_loss", AVERAGES, _simpo, beta=2.0, gamma=1.4),
    Case(
        "simpo_loss:ratio", AVERAGES, _simpo, beta=2.5, gamma=0.5, gamma_is_ratio=True
    ),
    Case("simpo_loss:alpha", AVERAGES, _simpo, beta=2.5, gamma=0.1, alpha=0.25),
    Case("simpo_loss:negative", AVERAGES, _simpo, beta=2.5, gamma=0.1, alpha=-0.25),
    Case("cpo_loss", _PAIR | NLL, _cpo, beta=0.1, weight=0.5),
    Case("reward_model_loss", REWARDS, _reward),
    Case("reward_model_loss:margin", _MAGNITUDE, _reward, kind="margin"),
    Case(
        "reward_model_loss:scaled", _MAGNITUDE, _reward, kind="scaled", centering=0.01
    ),
]


def draw(kind: str, batch: int, generator: torch.Generator):
    """Random inputs of a kind; integers and booleans where a loss needs them."""

    def uniform(*shape):
        return torch.rand(*shape, generator=generator, dtype=F64)

    match kind:
        case "logps":
            return -12 * uniform(batch)
        case "averages":
            return -4 * uniform(batch) - 1e-3
        case "items":
            return -12 * uniform(batch, 3)
        case "nll" | "magnitude":
            return 3 * uniform(batch)
        case "lengths":
            return torch.randint(1, 30, (batch,), generator=generator)
        case "desirable":
            return torch.arange(batch) % 3 > 0
        case "ranking":
            orders = (torch.randperm(3, generator=generator) for _ in range(batch))
            return torch.stack([*orders])


def draws(case: Case, batch: int, seed: int) -> dict:
    generator = seeded(seed)
    return {name: draw(kind, batch, generator) for name, kind in case.inputs.items()}


def extremes(case: Case) -> dict:
    """Every combination of moderate with extreme inputs: |βh| up to 1e4."""
    grids = {
        "logps": [(-1.0, -1e5), (-1.0, -5000.0)],
        "averages": [(-1e-12, -0.3, -50.0, -5000.0)],
        "items": [([-1.0, -5000.0, -1e5], [-1e5, -1.0, -1.0], [-2.0, -2.0, -2.0])],
        "nll": [(1.0,)],
        "magnitude": [(0.0, 3.0)],
        "lengths": [(1, 10)],
        "desirable": [(True, False)],
        "ranking": [([2, 0, 1], [0, 1, 2])],
    }
    rows = []
    for variant in (0, -1):
        axes = [grids[kind][variant] for kind in case.inputs.values()]
        rows += itertools.product(*axes)
    columns = zip(case.inputs.items(), zip(*rows, strict=True), strict=True)
    return {
        name: torch.tensor(column, dtype=F64 if kind in DIFFERENTIABLE else None)
        for (name, kind), column in columns
    }


def rows_of(given: dict) -> list[dict]:
    """A batch of tensors as exact rows, one for each example."""
    lists = {name: _exact(tensor.tolist()) for name, tensor in given.items()}
    return [
        dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)
    ]


def with_gradient(case: Case, given: dict) -> dict:
    return {
        name: tensor.clone().requires_grad_(case.inputs[name] in DIFFERENTIABLE)
        for name, tensor in given.items()
    }


def single(given: dict) -> dict:
    """The same inputs with their floating-point tensors in float32."""
    return {n: x.float() if x.is_floating_point() else x for n, x in given.items()}


def printed(value, text: str) -> bool:
    """Does `value` agree with a printed number in every digit that was printed?"""
    digits, _, exponent = text.lower().partition("e")
    decimals = len(digits.partition(".")[2])
    half = 0.5 * 10.0 ** (int(exponent or 0) - decimals)
    assert abs(float(value) - float(text)) <= half * (1 + 1e-4), (float(value), text)
    return True


def minimiser(loss: Callable, low: float, high: float, shape=()) -> torch.Tensor:
    """Where a convex loss, elementwise in x, has slope zero: bisection on autograd."""
    low, high = (torch.full(shape, bound, dtype=F64) for bound in (low, high))
    for _ in range(100):
        middle = ((low + high) / 2).requires_grad_()
        (slope,) = torch.autograd.grad(loss(middle).sum(), middle)
        middle, falls = middle.detach(), slope < 0
        low, high = torch.where(falls, middle, low), torch.where(falls, high, middle)
    return (low + high) / 2


def refusals(*rows: tuple[Callable, tuple, str], error=ValueError) -> Callable:
    """A test of many refusals: what is called, with what, and words of the error."""

    @pytest.mark.parametrize(("function", "arguments", "says"), rows)
    def test(function, arguments, says):
        with pytest.raises(error, match=says):
            function(*arguments)

    return test


def contract(module) -> dict[str, str]:
    """Every public function's signature, without annotations."""
    listed = {}
    for name in module.__all__:
        function = getattr(module, name)
        if inspect.isfunction(function):
            signature = inspect.signature(function)
            bare = [
                parameter.replace(annotation=inspect.Parameter.empty)
                for parameter in signature.parameters.values()
            ]
            listed[name] = str(inspect.Signature(bare))[1:-1]
    return listed


def undocumented(*modules) -> list[str]:
    """Public functions whose docstring lacks a source or an example."""
    texts = {
        name: getattr(module, name).__doc__ or ""
        for module in modules
        for name in contract(module)
    }
    return [n for n, t in texts.items() if "source: " not in t or ">>> " not in t]


def isclose(actual, expected, tolerance=1e-12) -> bool:
    """Within 1e-12, absolute below 1 and relative above."""
    actual = float(actual.detach() if torch.is_tensor(actual) else actual)
    expected = float(expected.detach() if torch.is_tensor(expected) else expected)
    if not math.isfinite(expected):
        return actual == expected
    return abs(actual - expected) <= tolerance * max(1.0, abs(expected))
