"""`course_lib.losses` against mpmath, published numbers, identities and refusals.

The generic tests run over `oracles.CASES`, which also holds the one other function with
a reduction, `preferences.reward_model_loss`. Where the losses' minima lie in a world of
policies is tested in test_policies.py.
"""

import math

import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import CASES, F64, FOUR, PROPERTY, draws, isclose, mp, printed

from course_lib import losses, variants
from course_lib.losses import dpo_loss, ipo_loss, kto_loss, orpo_loss, robust_dpo_loss

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
BY_NAME = {case.name: case for case in CASES}
NONE = {"reduction": "none"}


def pairs(u, v=None):
    """The FOUR with log-ratios u and v."""
    u = torch.as_tensor(u, dtype=F64).reshape(-1)
    v = torch.zeros_like(u) if v is None else torch.as_tensor(v, dtype=F64).reshape(-1)
    return u - 9, v - 7, torch.full_like(u, -9), torch.full_like(v, -7)


# --- every loss, one oracle -----------------------------------------------------------


def overflows(case, row) -> bool:
    """Is e^(−αa) above float64's range? Then the loss refuses, rather than give inf."""
    order = {"f_dpo_loss:2": 1, "f_dpo_loss:4": 0.5, "simpo_loss:alpha": 0.25}
    if case.name not in order:
        return False
    lowest = min(row.values())
    if "ref_chosen_logps" in row:
        chosen, rejected, ref_chosen, ref_rejected = (row[name] for name in FOUR)
        lowest = min(chosen - ref_chosen, rejected - ref_rejected)
    return -order[case.name] * lowest > 709


def split(case, batch):
    """The rows that have a finite loss, and one-row batches of those that have none."""
    over = torch.tensor([overflows(case, row) for row in oracles.rows_of(batch)])
    rest = [{name: x[i] for name, x in batch.items()} for i in over.nonzero()]
    return {name: x[~over] for name, x in batch.items()}, rest


@every_case
@pytest.mark.parametrize("inputs", ["random", "extreme"])
def test_value_and_gradient_are_those_of_the_formula(case, inputs):
    batch = draws(case, 6, seed=1) if inputs == "random" else oracles.extremes(case)
    finite, _ = split(case, batch)
    leaves = oracles.with_gradient(case, finite)
    values = case(leaves, **NONE)
    values.sum().backward()
    for i, row in enumerate(oracles.rows_of(finite)):
        assert isclose(values[i], case.exact(row)), row
        for name in case.differentiable:
            for k, slope in enumerate(leaves[name].grad[i].reshape(-1).tolist()):
                index = k if leaves[name].ndim == 2 else None
                assert isclose(slope, case.slope(row, name, index)), (name, row)


@every_case
def test_what_overflows_is_refused(case):
    for row in split(case, oracles.extremes(case))[1]:
        with pytest.raises(ValueError, match="overflow"):
            case(row)


@every_case
def test_float32_extremes_are_finite(case):
    finite, _ = split(case, oracles.extremes(case))
    leaves = oracles.with_gradient(case, oracles.single(finite))
    value = case(leaves, **NONE)
    value.sum().backward()
    assert value.isfinite().all()
    assert all(leaves[name].grad.isfinite().all() for name in case.differentiable)


@pytest.mark.parametrize("u", [50.0, 300.0])
@pytest.mark.parametrize("name", ["dpo_loss", "bco_loss", "apo_zero_loss"])
def test_small_losses_keep_their_digits(name, u):
    """log(sigmoid(x)) and 1 − sigmoid(x) would give 0 here."""
    case = BY_NAME[name]
    batch = dict(zip(FOUR, pairs(u, -u), strict=True))
    (row,) = oracles.rows_of(batch)
    assert math.isclose(case(batch), case.exact(row), rel_tol=1e-12)
    assert case(batch) > 0


@every_case
def test_reductions(case):
    batch = draws(case, 5, seed=2)
    each = case(batch, **NONE)
    assert each.shape == (5,)
    assert each.unique().numel() > 1
    assert isclose(case(batch, reduction="sum"), math.fsum(each.tolist()))
    assert isclose(case(batch, reduction="mean"), math.fsum(each.tolist()) / 5)
    assert case(batch).shape == ()
    assert case(batch).equal(case(batch, reduction="mean"))


@every_case
def test_a_batch_of_one_is_its_own_example(case):
    batch = draws(case, 5, seed=3)
    each = case(batch, **NONE)
    for i in range(5):
        alone = {name: tensor[i : i + 1] for name, tensor in batch.items()}
        assert isclose(case(alone), each[i])


@every_case
def test_float32_follows_float64_and_nothing_changes_its_inputs(case):
    single = oracles.single(draws(case, 8, seed=4))
    double = {n: x.double() if x.is_floating_point() else x for n, x in single.items()}
    before = {name: tensor.clone() for name, tensor in single.items()}
    narrow, wide = case(single, **NONE), case(double, **NONE)
    assert (narrow.dtype, wide.dtype) == (torch.float32, F64)
    # half of float32's digits must survive the arithmetic
    tolerance = torch.finfo(torch.float32).eps ** 0.5
    assert all(isclose(a, b, tolerance) for a, b in zip(narrow, wide, strict=True))
    assert all(single[name].equal(before[name]) for name in before)


def test_every_loss_has_a_case_and_a_source():
    named = {case.name.partition(":")[0] for case in CASES}
    public = {*losses.__all__, *variants.__all__}
    assert {name for name in public if name.endswith("_loss")} <= named
    lacking = oracles.undocumented(losses, variants)
    assert [name for name in lacking if name in named] == []


def test_signatures_are_the_contract():
    four = ", ".join(FOUR)
    averages = "policy_chosen_avg_logps, policy_rejected_avg_logps"
    lengths = "chosen_lengths, rejected_lengths"
    end = "reduction='mean'"
    assert oracles.contract(losses) | oracles.contract(variants) == {
        "apo_down_loss": f"{four}, beta, *, {end}",
        "apo_zero_loss": f"{four}, beta, *, {end}",
        "bco_loss": f"{four}, beta, *, {end}",
        "cpo_loss": "policy_chosen_logps, policy_rejected_logps, nll, beta, *, "
        f"weight=1.0, {end}",
        "dpo_gradients": f"{four}, beta",
        "dpo_loss": f"{four}, beta=0.1, *, label_smoothing=0.0, {end}",
        "dpo_metrics": f"{four}, beta",
        "dpo_nll_loss": f"{four}, nll, beta, *, weight, {end}",
        "exo_loss": f"{four}, beta, *, label_smoothing=0.001, {end}",
        "f_dpo_loss": f"{four}, beta, *, divergence, alpha=None, {end}",
        "hinge_loss": f"{four}, beta, *, {end}",
        "implicit_preference_probability": f"{four}, beta",
        "implicit_reward_accuracy": four,
        "ipo_loss": f"{four}, tau, *, chosen_lengths=None, rejected_lengths=None, "
        f"{end}",
        "kto_loss": "policy_logps, ref_logps, desirable, kl, beta, *, "
        f"desirable_weight=1.0, undesirable_weight=1.0, {end}",
        "kto_reference_point": "policy_kl_logps, ref_kl_logps",
        "length_normalized_dpo_loss": f"{four}, {lengths}, beta, *, {end}",
        "loss_optimum": "losses, ref, rewards, *, label_noise=0.0",
        "measures": "pairs",
        "nca_loss": f"{four}, beta, *, {end}",
        "orpo_loss": f"{averages}, nll, *, weight, {end}",
        "plackett_luce_dpo_loss": f"policy_logps, ref_logps, ranking, beta, *, {end}",
        "preference_losses": "method, pairs, settings",
        "robust_dpo_loss": f"{four}, beta, *, label_smoothing, {end}",
        "simpo_loss": f"{averages}, beta, gamma, *, gamma_is_ratio=False, alpha=0.0, "
        f"{end}",
        "sppo_loss": f"{four}, beta, *, {end}",
    }


# --- refusals -------------------------------------------------------------------------

UNLIKE = {
    "longer": lambda x: torch.cat([x, x[:1]]),
    "one that could be broadcast": lambda x: x[:1],
    "two-dimensional": lambda x: x[..., None].expand(*x.shape, 2),
    "a list": lambda x: x.tolist(),
}
NOT_REAL = {
    "nan": lambda x: torch.cat([x[:-1], x[-1:] * math.nan]),
    "infinite": lambda x: torch.cat([x[:-1], x[-1:] * -math.inf]),
    "integers": lambda x: x.long(),
}
BAD = {
    **dict.fromkeys(("logps", "averages", "items", "nll", "magnitude"), NOT_REAL),
    "lengths": {"a zero": lambda x: x * 0, "nan": lambda x: x * math.nan},
    "desirable": {"integers": lambda x: x.long()},
    "ranking": {
        "twice the same": lambda x: x * 0,
        "from one": lambda x: x + 1,
        "floats": lambda x: x.float(),
        "int32": lambda x: x.int(),
    },
}
BAD_TENSORS = [
    pytest.param(case, name, bad, id=f"{case.name}-{name}-{what}")
    for case in CASES
    for name, kind in case.inputs.items()
    for what, bad in (UNLIKE | BAD[kind]).items()
]
BAD_NUMBERS = (math.nan, math.inf, -1.0, True, False, "0.1", None)
ZERO_ALLOWED = ("label_smoothing", "gamma", "kl", "centering", "weight", "alpha")
BAD_OPTIONS = [
    pytest.param(case, name, bad, id=f"{case.name}-{name}-{bad}")
    for case in CASES
    for name, value in case.options.items()
    if isinstance(value, float)
    for bad in (*BAD_NUMBERS, torch.tensor([0.1, 0.2]), *[0.0][name in ZERO_ALLOWED :])
    if not (name == "alpha" and isinstance(bad, float) and bad == -1.0)
]


@pytest.mark.parametrize(("case", "name", "bad"), BAD_TENSORS)
def test_a_bad_tensor_is_refused_by_name(case, name, bad):
    batch = draws(case, 4, seed=7)
    with pytest.raises((TypeError, ValueError), match=name):
        case({**batch, name: bad(batch[name])})


@every_case
def test_an_empty_batch_is_refused(case):
    empty = {name: tensor[:0] for name, tensor in draws(case, 2, seed=8).items()}
    with pytest.raises(ValueError, match="empty"):
        case(empty)


@pytest.mark.parametrize(("case", "name", "bad"), BAD_OPTIONS)
def test_a_bad_option_is_refused_by_name(case, name, bad):
    with pytest.raises((TypeError, ValueError), match=name):
        case(draws(case, 2, seed=9), **{name: bad})


@every_case
@pytest.mark.parametrize("bad", ["avg", "Mean", None, True])
def test_a_bad_reduction_is_refused(case, bad):
    with pytest.raises(ValueError, match="reduction"):
        case(draws(case, 2, seed=9), reduction=bad)


ZEROS = pairs([0.0, 0.0])
Z, YES = torch.zeros(2, dtype=F64), torch.tensor([True, False])
MIXED = torch.tensor([1.0, 0.0], dtype=F64)  # makes one example bad, one good
CUBE = torch.arange(2.0, dtype=F64).expand(2, 2, 2)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: dpo_loss(*ZEROS, label_smoothing=0.5), "label_smoothing"),
        (lambda: robust_dpo_loss(*ZEROS, 0.1, label_smoothing=0.5), "label_smoothing"),
        (lambda: losses.exo_loss(*ZEROS, 0.1, label_smoothing=0.0), "label_smoothing"),
        (lambda: losses.exo_loss(*ZEROS, 0.1, label_smoothing=0.5), "label_smoothing"),
        (lambda: losses.dpo_nll_loss(*ZEROS, Z, 0.1, weight=0.0), "weight"),
        (lambda: orpo_loss(Z - 1, Z - 1, Z, weight=0.0), "weight"),
        (lambda: orpo_loss(Z, Z - 1, Z, weight=0.1), "avg_logps"),
        (lambda: orpo_loss(Z - 1, Z + 0.1, Z, weight=0.1), "avg_logps"),
        (lambda: ipo_loss(*ZEROS, 0.1, chosen_lengths=Z + 1), "rejected_lengths"),
        (lambda: orpo_loss(Z - MIXED, Z - 1, Z, weight=0.1), "avg_logps"),
        (lambda: losses.simpo_loss(Z - 9 * MIXED, Z, 2.0, 0.5, alpha=99.0), "alpha"),
        (
            lambda: losses.f_dpo_loss(
                *pairs(-999 * MIXED), 0.1, divergence="forward_kl"
            ),
            "divergence",
        ),
        (
            lambda: losses.length_normalized_dpo_loss(*ZEROS, MIXED, MIXED + 1, 0.1),
            "chosen_lengths",
        ),
        (
            lambda: losses.plackett_luce_dpo_loss(CUBE, CUBE, CUBE.long(), 0.1),
            "policy_logps must be",
        ),
        (lambda: losses.f_dpo_loss(*ZEROS, 0.1, divergence="kl"), "divergence"),
        (lambda: losses.f_dpo_loss(*ZEROS, 0.1, divergence="alpha"), "alpha"),
        (lambda: losses.f_dpo_loss(*ZEROS, 0.1, divergence="js", alpha=0.5), "alpha"),
        (
            lambda: losses.f_dpo_loss(*ZEROS, 0.1, divergence="alpha", alpha=1.0),
            "alpha",
        ),
        (lambda: kto_loss(Z, Z, YES, Z[0].clone().requires_grad_(), 0.1), "kl"),
        (lambda: kto_loss(Z, Z, YES, -0.1, 0.1), "kl"),
        (lambda: losses.kto_reference_point(Z[:1], Z[:1]), "policy_kl_logps"),
        (lambda: losses.kto_reference_point(Z, Z[:1]), "ref_kl_logps"),
        (lambda: losses.kto_reference_point(Z, Z * math.nan), "ref_kl_logps"),
        (lambda: losses.dpo_metrics(*ZEROS, beta=0), "beta"),
        (lambda: losses.implicit_preference_probability(*ZEROS, beta=0), "beta"),
        (
            lambda: losses.implicit_preference_probability(*ZEROS[:3], Z[:1], 0.1),
            "ref_rejected_logps",
        ),
        (lambda: losses.dpo_metrics(*ZEROS[:3], Z[:1], beta=0.1), "ref_rejected_logps"),
        (lambda: losses.dpo_gradients(*ZEROS, beta=0.0), "beta"),
        (lambda: losses.dpo_gradients(*ZEROS[:3], Z[:1], beta=0.1), "ref_rejected"),
        (lambda: losses.dpo_gradients(*ZEROS[:3], Z * math.nan, beta=0.1), "finite"),
        (lambda: losses.implicit_reward_accuracy(*ZEROS[:3], Z[:1]), "ref_rejected"),
        (lambda: losses.implicit_reward_accuracy(*[Z[:0]] * 4), "empty"),
        (lambda: losses.implicit_reward_accuracy(*ZEROS[:3], [0.0]), "tensor"),
    ],
)
def test_refused(call, part):
    with pytest.raises((TypeError, ValueError), match=part):
        call()


# --- published numbers ----------------------------------------------------------------


def dpo(gaps, beta=0.1, rate=0.0):
    return lambda: dpo_loss(*pairs(gaps), beta, label_smoothing=rate)


def ipo(gap):
    return lambda: ipo_loss(*pairs(gap), tau=0.1)


def robust(margin):
    return lambda: robust_dpo_loss(*pairs(margin), 1.0, label_smoothing=0.1)


def at_start(k):
    """Plackett–Luce where policy and reference agree: log k!"""
    logps, order = -torch.rand(2, k, dtype=F64), torch.arange(k).flip(0).expand(2, k)
    return lambda: losses.plackett_luce_dpo_loss(logps, logps, order, 0.1)


def ranked(*order):
    scores, order = torch.tensor([[1.0, 0, 2]], dtype=F64), torch.tensor([order])
    return lambda: losses.plackett_luce_dpo_loss(scores - 8, scores * 0 - 8, order, 1.0)


def orpo(chosen, rejected):
    chosen, rejected, zero = torch.tensor([[chosen], [rejected], [0]], dtype=F64)
    return lambda: orpo_loss(chosen, rejected, zero, weight=1.0)


def log_odds_ratio(chosen, rejected):
    return lambda: orpo(rejected, chosen)() - orpo(chosen, rejected)()


def kto_slope(u, desirable):
    logps = torch.tensor([u + 0.3], dtype=F64, requires_grad=True)
    kto_loss(logps, 0 * logps.detach(), torch.tensor([desirable]), 0.3, 0.1).backward()
    return logps.grad


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (dpo([0.5, 0.4, 0.0, 0.3]), "0.6783034180"),
        (dpo([2.0, 2.0]), "0.5981388694"),
        (dpo([-2.0, -2.0]), "0.7981388694"),
        (dpo([2.0, 2.0, 0.0, 2.0]), "0.6218909472"),
        (dpo([2.0, 2.0, 0.0, 2.0], rate=0.1), "0.6368909472"),
        (dpo([-1.5]), "0.7710"),  # smoothing lowers the loss of a wrong pair
        (dpo([-1.5], rate=0.1), "0.7560"),
        (dpo([3.0]), "0.5544"),
        (dpo([6 / 198]), "0.6916"),
        (dpo([0.2], 0.01), "0.6921"),
        (dpo([0.2], 0.1), "0.6832"),
        (dpo([0.2], 0.5), "0.6444"),
        (dpo([0.2], 1.0), "0.5981"),
        (dpo([105.0], 0.01), "0.30"),
        (dpo([2.10], 0.5), "0.30"),
        (dpo([0.0], 0.3), "0.6931471806"),
        (ipo(0.0), "25.0000"),
        (ipo(6 / 198), "24.6979"),
        (ipo(3.0), "4.0000"),
        (ipo(5.0), "0"),
        (robust(0.0), "0.6931"),
        (robust(10.0), "-1.2500"),  # no floor
        (robust(100.0), "-12.5"),
        (at_start(2), "0.6931471806"),
        (at_start(3), "1.7917594692"),
        (at_start(4), "3.1780538303"),
        (at_start(5), "4.7874917428"),
        (at_start(7), "8.5252"),
        (ranked(2, 0, 1), "0.7208676520"),  # indices, best first
        (ranked(1, 2, 0), "2.7208676520"),  # and not positions
        (orpo(-0.5, -2.0), "0.0967058636"),
        (orpo(-0.1, -0.3), "0.2628330818"),
        (orpo(-2.0, -3.0), "0.2887507843"),
        (log_odds_ratio(-0.5, -2.0), "2.2873386717"),
        (log_odds_ratio(-0.1, -0.3), "1.2019428482"),
        (log_odds_ratio(-2.0, -3.0), "1.0943442769"),
        (log_odds_ratio(-1e-12, -1.0), "28.1723459705"),
        (log_odds_ratio(-120.0, -130.0), "10.0"),
        (log_odds_ratio(-300.0, -330.0), "30.0"),  # sums for averages
        (log_odds_ratio(-1.0, -1.1), "0.1539031715"),
        (lambda: -kto_slope(0, True), "0.025"),
        (lambda: -kto_slope(20, True), "0.0104993585"),
        (lambda: -kto_slope(-50, True), "0.0006648057"),
        (lambda: kto_slope(50, False), "0.0006648057"),
    ],
)
def test_number(number, text):
    assert printed(number(), text)


# --- identities -----------------------------------------------------------------------

gaps = st.floats(-300, 300)
betas = st.floats(0.01, 5)
rates = st.floats(0, 0.49)


@PROPERTY
@given(gaps, gaps, betas)
def test_the_gradient_of_dpo_is_beta_sigma_of_minus_the_margin(u, v, beta):
    four = [x.clone().requires_grad_() for x in pairs(u, v)]
    dpo_loss(*four, beta).backward()
    push = beta / (1 + mp.exp(mp.mpf(beta) * (mp.mpf(u) - mp.mpf(v))))
    for tensor, sign in zip(four, (-1, 1, 1, -1), strict=True):
        assert isclose(tensor.grad, sign * push)


@pytest.mark.parametrize(
    ("tau", "text"), [(0.1, "0.9933071491"), (1.0, "0.6224593312")]
)
def test_ipo_stops_short_of_certainty_between_two_actions(tau, text):
    best = oracles.minimiser(lambda h: ipo_loss(*pairs(h), tau), -10.0, 10.0)
    assert printed(torch.sigmoid(best), text)


@pytest.mark.parametrize("average", [-1e-300, -1e-16, -math.log(2), -37.0, -745.0])
def test_orpo_near_certainty_and_near_zero(average):
    """In closed form, since d log odds / da = 1 / (1 − e^a)."""
    one, exact = torch.ones(1, dtype=F64), mp.mpf(average)
    leaf = torch.full((1,), average, dtype=F64, requires_grad=True)
    loss = orpo_loss(-one, leaf, one, weight=0.5)
    loss.backward()
    gap = oracles.log_odds(mp.mpf(-1)) - oracles.log_odds(exact)
    slope = oracles.sigma(-gap) / 2 / -mp.expm1(exact)
    assert math.isclose(loss.item(), 1 + oracles.cost(gap) / 2, rel_tol=1e-12)
    assert math.isclose(leaf.grad.item(), slope, rel_tol=1e-12)


@PROPERTY
@given(gaps, gaps, betas, rates)
def test_cdpo_is_a_blend_of_robust_dpo_and_the_swapped_pair(u, v, beta, rate):
    four, swapped = pairs(u, v), pairs(v, u)
    blend = (1 - 2 * rate) * robust_dpo_loss(*four, beta, label_smoothing=rate)
    blend = blend + 2 * rate * dpo_loss(*swapped, beta)
    # terms as large as βh = 3000 cancel in the blend
    assert isclose(dpo_loss(*four, beta, label_smoothing=rate), blend, 1e-11)


@PROPERTY
@given(st.floats(-30, 30), betas, st.floats(0, 0.45))
def test_robust_dpo_is_unbiased_under_flips(gap, beta, rate):
    kept = robust_dpo_loss(*pairs(gap), beta, label_smoothing=rate)
    flipped = robust_dpo_loss(*pairs(-gap), beta, label_smoothing=rate)
    mean = (1 - rate) * kept + rate * flipped
    # the division by 1 − 2ε multiplies rounding by up to ten
    assert isclose(mean, dpo_loss(*pairs(gap), beta), 1e-10)


@PROPERTY
@given(gaps, gaps, st.floats(1, 100))
def test_a_shift_of_both_logratios_moves_only_pointwise_losses(u, v, shift):
    before, after = pairs(u, v), pairs(u + shift, v + shift)
    for loss in (dpo_loss, ipo_loss, losses.hinge_loss, losses.exo_loss):
        assert isclose(loss(*before, 0.1), loss(*after, 0.1), 1e-9)
    for loss in (losses.bco_loss, losses.nca_loss):
        moved = [loss(*pairs(x, x), 0.1).item() for x in (0.0, shift)]
        assert abs(moved[0] - moved[1]) > 1e-6


@PROPERTY
@given(gaps, gaps, betas)
def test_two_ranked_answers_are_a_pair(u, v, beta):
    logps = torch.tensor([[u, v]], dtype=F64)
    order = torch.tensor([[0, 1]])
    ranked = losses.plackett_luce_dpo_loss(logps, torch.zeros_like(logps), order, beta)
    assert isclose(ranked, dpo_loss(*pairs(u, v), beta), 1e-11)


@pytest.mark.parametrize(
    ("p", "dpo_gap", "ipo_gap"),
    [
        (0.6, "4.0546510811", "1.0"),
        (0.7, "8.4729786039", "2.0"),
        (0.8, "13.8629436112", "3.0"),
        (0.9, "21.9722457734", "4.0"),
        (0.95, "29.4443897917", "4.5"),
    ],
)
def test_where_a_share_p_of_labels_sends_the_gap(p, dpo_gap, ipo_gap):
    def split(loss):
        return lambda h: p * loss(*pairs(h), 0.1) + (1 - p) * loss(*pairs(-h), 0.1)

    assert printed(oracles.minimiser(split(dpo_loss), -100.0, 100.0), dpo_gap)
    assert printed(oracles.minimiser(split(ipo_loss), -100.0, 100.0), ipo_gap)


def test_metrics_follow_one_convention_each():
    u, v = [1.0, 0.5, 0.0, -2.0], [0.0, 0.5, 1.0, -5.0]
    metrics = losses.dpo_metrics(*pairs(u, v), beta=0.5)
    assert metrics == {
        "accuracy": (1 + 0.5 + 0 + 1) / 4,  # the tie counts one half
        "gap": pytest.approx(0.75),
        "margin": pytest.approx(0.375),
        "chosen_rewards": pytest.approx(-0.0625),
        "rejected_rewards": pytest.approx(-0.4375),
    }
    start = losses.dpo_metrics(*pairs([0.0]), beta=0.1)
    assert (start["accuracy"], start["margin"]) == (0.5, 0)


@pytest.mark.parametrize("inputs", ["random", "extreme"])
def test_metrics_and_reference_point_are_means_of_exact_values(inputs):
    """At extremes too, where u is 1e5 nats; accuracy's ties are among them."""
    case = BY_NAME["dpo_loss"]
    batch = draws(case, 6, seed=5) if inputs == "random" else oracles.extremes(case)
    rows = oracles.rows_of(batch)
    u = [row["policy_chosen_logps"] - row["ref_chosen_logps"] for row in rows]
    v = [row["policy_rejected_logps"] - row["ref_rejected_logps"] for row in rows]
    gaps = [a - b for a, b in zip(u, v, strict=True)]
    beta = mp.mpf(0.1)
    must = {
        "accuracy": [(1 + mp.sign(gap)) / 2 for gap in gaps],
        "gap": gaps,
        "margin": [beta * gap for gap in gaps],
        "chosen_rewards": [beta * x for x in u],
        "rejected_rewards": [beta * x for x in v],
    }
    found = losses.dpo_metrics(**batch, beta=0.1)
    assert found.keys() == must.keys()
    for name, exact in must.items():
        assert isclose(found[name], mp.fsum(exact) / len(rows)), name
    for kind, shifts in (("chosen", u), ("rejected", v)):
        logps = batch[f"policy_{kind}_logps"], batch[f"ref_{kind}_logps"]
        z = losses.kto_reference_point(*logps)
        assert isclose(z, max(mp.zero, mp.fsum(shifts) / len(rows)))


GAPS_OF_PAIRS = [(1.0, -1.0), (-30.0, 4.0), (5000.0, 0.0), (0.0, 5000.0)]


@pytest.mark.parametrize("beta", [0.01, 0.1, 5.0])
@pytest.mark.parametrize(("u", "v"), GAPS_OF_PAIRS)
def test_the_two_gradients_are_the_slopes_of_the_exact_loss(u, v, beta):
    case = BY_NAME["dpo_loss"]
    four = pairs([u, 0.5], [v, 0.25])
    found = losses.dpo_gradients(*four, beta)
    assert found.shape == (2, 2)
    for i, row in enumerate(oracles.rows_of(dict(zip(FOUR, four, strict=True)))):
        other = oracles.Case("dpo_loss", case.inputs, case.formula, beta=beta)
        for k, name in enumerate(("policy_chosen_logps", "policy_rejected_logps")):
            assert isclose(found[i, k], other.slope(row, name)), (name, row)


def test_the_gradients_of_five_pairs_as_published():
    gaps = torch.tensor([1.5, 0.25, -0.5, 1.0, -1.25], dtype=F64)
    weights = losses.dpo_gradients(*pairs(gaps), beta=1.0)[:, 1]
    _, policy_rejected, *_ = four = [x.requires_grad_() for x in pairs(gaps / 0.25)]
    dpo_loss(*four, 0.25, reduction="sum").backward()
    texts = "0.1824255238 0.4378234991 0.6224593312 0.2689414214 0.7772998612"
    slopes = zip(weights, policy_rejected.grad / 0.25, strict=True)
    for found, text in zip(slopes, texts.split(), strict=True):
        assert all(printed(weight, text) for weight in found)


def test_accuracy_counts_ties_half_in_any_dtype():
    u, v = [1.0, 0.5, 0.0, -2.0], [0.0, 0.5, 1.0, -5.0]
    found = losses.implicit_reward_accuracy(*pairs(u, v))
    assert (found.item(), found.dtype, found.shape) == (2.5 / 4, F64, ())
    single = [tensor.float() for tensor in pairs([0.0])]
    assert losses.implicit_reward_accuracy(*single).item() == 0.5


def test_the_reference_point_is_a_clamped_mean_without_gradient():
    policy = torch.tensor([-5.0, -6.0], requires_grad=True)
    z = losses.kto_reference_point(policy, torch.tensor([-6.0, -6.0]))
    assert (z.item(), z.requires_grad) == (0.5, False)
    below = losses.kto_reference_point(policy, torch.tensor([-1.0, -1.0]))
    assert below == 0


@PROPERTY
@given(gaps, gaps, betas)
def test_the_preference_that_a_policy_implies_is_what_dpo_makes_likely(u, v, beta):
    four = [x.requires_grad_() for x in pairs([u], [v])]
    chance = losses.implicit_preference_probability(*four, beta)
    margin = mp.mpf(beta) * (mp.mpf(u) - mp.mpf(v))
    assert isclose(chance, 1 / (1 + mp.exp(-margin)))
    other = [four[i] for i in (1, 0, 3, 2)]
    turned = losses.implicit_preference_probability(*other, beta)
    assert isclose(chance + turned, 1)
    chance.backward()
    slope = beta * (chance * turned).detach()
    assert isclose(four[0].grad, slope)
    assert isclose(four[3].grad, slope)


def test_a_policy_s_preference_between_two_of_five_answers():
    policy = [0.017604680586, 0.800985826599, 0.000292161812]  # A, B, E of π* at ½
    logps = [torch.tensor([math.log(p)], dtype=F64) for p in (*policy[1:], 0.25, 0.10)]
    chance = losses.implicit_preference_probability(*logps, beta=0.5)
    assert chance.item() == pytest.approx(0.9706877692, abs=5e-10)


def test_a_preference_far_from_a_half_stays_a_number():
    chances = losses.implicit_preference_probability(*pairs([5000.0, -5000.0]), 1.0)
    assert chances.tolist() == [1.0, 0.0]
