"""Chapter 06: noisy labels, whole rankings, and another divergence."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import (
    BETTER,
    START,
    WORSE,
    agrees_where_learnt,
    drawn_four,
    four,
)
from course_lib.exercises.specification import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.losses import f_dpo_loss, plackett_luce_dpo_loss, robust_dpo_loss
from course_lib.observing import Call


def _flips(rate: float) -> dict[str, float]:
    return {"label_smoothing": rate}


def _robust(
    loss=lambda right, turned, rate: (
        ((1 - rate) * right - rate * turned) / (1 - 2 * rate)
    ),
    margin=lambda a, b, c, d, beta: beta * ((a - c) - (b - d)),
    minus_log=lambda margin: -F.logsigmoid(margin),
    reduce=torch.mean,
):
    """Robust DPO with one thing wrong: `loss` is of a pair, as labelled and turned."""

    def robust(a, b, c, d, beta, label_smoothing):
        found = margin(a, b, c, d, beta)
        right, turned = minus_log(found), minus_log(-found)
        return reduce(loss(right, turned, label_smoothing))

    return robust


_ROBUST = Exercise(
    number="6.6",
    title="Robust DPO: labels that may be turned round",
    reference=robust_dpo_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                four(draw, BETTER, gradient=True, **_flips(0.1)),
                four(draw, BETTER, WORSE, gradient=True, **_flips(0.3)),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "ln 2 when policy and reference agree, whatever ε is",
            lambda draw: [
                four(draw, START[0], **_flips(rate)) for rate in (0.1, 0.25, 0.4)
            ],
            value_of,
        ),
        Check(
            "DPO's loss and a share of the loss of the turned pair taken away",
            lambda draw: [
                four(draw, WORSE, beta=0.5, **_flips(0.25)),
                four(draw, BETTER, beta=0.1, **_flips(0.1)),
            ],
            value_of,
        ),
        Check(
            "below 0 where the order is right by far: there is no floor",
            lambda draw: [
                four(draw, [0, -40, 0, 0], beta=0.5, **_flips(0.25)),
                four(draw, [0, -4000, 0, 0], beta=0.5, **_flips(0.25)),
            ],
            value_of,
        ),
        Check(
            "the mean over pairs, each with logarithms of its own",
            lambda draw: [
                four(draw, BETTER, WORSE, beta=0.5, **_flips(0.1)),
                four(draw, BETTER, BETTER, WORSE, beta=0.5, **_flips(0.1)),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, values and gradients",
            lambda draw: [
                drawn_four(draw, n, beta, gradient=True, **_flips(rate))
                for n, beta, rate in ((1, 0.1, 0.1), (3, 0.5, 0.0), (7, 1.0, 0.3))
            ],
            "equal the mean of [−(1 − ε) log σ(βh) + ε log σ(−βh)] / (1 − 2ε), and so "
            "must its gradient",
            agrees_where_learnt(2),
        ),
    ),
    misconceptions=(
        Misconception(
            "cDPO",
            _robust(lambda right, turned, rate: (1 - rate) * right + rate * turned),
            "smoothed labels, cDPO: they believe in flips and stop early. Here the "
            "turned pair's loss is taken away, and the rest scaled up",
        ),
        Misconception(
            "plus",
            _robust(
                lambda right, turned, rate: (
                    ((1 - rate) * right + rate * turned) / (1 - 2 * rate)
                )
            ),
            "the turned pair's loss added and the sum divided by 1 − 2ε: take it away",
        ),
        Misconception(
            "not divided",
            _robust(lambda right, turned, rate: (1 - rate) * right - rate * turned),
            "no division by 1 − 2ε: averaged over flips it would be 1 − 2ε times the "
            "clean loss",
        ),
        Misconception(
            "weights exchanged",
            _robust(
                lambda right, turned, rate: (
                    (rate * right - (1 - rate) * turned) / (1 - 2 * rate)
                )
            ),
            "ε on the label as it stands and 1 − ε on the turned one: most labels are "
            "right",
        ),
        Misconception(
            "smoothing ignored",
            _robust(lambda right, turned, rate: right),
            "DPO's loss whatever ε is",
        ),
        Misconception(
            "floor at 0",
            _robust(
                lambda right, turned, rate: F.relu(
                    ((1 - rate) * right - rate * turned) / (1 - 2 * rate)
                )
            ),
            "held at 0 from below: then it is not unbiased, and where it is held "
            "nothing pushes. A loss may be negative",
        ),
        Misconception(
            "log(sigmoid)",
            _robust(minus_log=lambda margin: -torch.log(torch.sigmoid(margin))),
            "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: "
            "use F.logsigmoid",
        ),
        Misconception(
            "swapped",
            _robust(margin=lambda a, b, c, d, beta: beta * ((b - d) - (a - c))),
            "rejected minus chosen: the gap is the chosen log-ratio minus the rejected "
            "one",
        ),
        Misconception(
            "β forgotten",
            _robust(margin=lambda a, b, c, d, beta: (a - c) - (b - d)),
            "β = 1 whatever is asked for: it multiplies the gap inside the sigmoid",
        ),
        Misconception(
            "no reference",
            _robust(margin=lambda a, b, c, d, beta: beta * (a - b)),
            "the policy's log-probabilities alone: each needs the reference's "
            "subtracted from it",
        ),
        Misconception(
            "sum in place of mean",
            _robust(reduce=torch.sum),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "mean before the logarithm",
            _robust(
                margin=lambda a, b, c, d, beta: beta * ((a - c) - (b - d)).mean(),
            ),
            "one logarithm of the mean gap: a large win would pay for a loss",
        ),
    ),
    hints=(
        "Two of DPO's losses, one of the pair as labelled and one of the pair turned "
        "round. With which weights does the average over flips give the clean loss?",
        "(1 − ε) times the first minus ε times the second, divided by 1 − 2ε.",
        "right = -F.logsigmoid(beta * gap), turned = -F.logsigmoid(-beta * gap), then "
        "`((1 - e) * right - e * turned) / (1 - 2 * e)`, e being the smoothing",
    ),
)


def _ranked(draw: Draw, logratios, rankings, beta=1.0, **kwargs) -> Call:
    """A call from log-ratios and rankings, one list for each prompt."""
    logratios = draw.tensor(logratios)
    ref = -5 - draw.tensor([[3.0, 0.0, 4.0, 1.0][: logratios.shape[1]]])
    ref = ref.repeat(len(logratios), 1)
    return Call((logratios + ref, ref, torch.tensor(rankings), beta), **kwargs)


def _drawn_ranking(draw: Draw, count: int, answers: int, beta: float) -> Call:
    policy, ref = (draw.normal(count, answers, scale=3) - 20 for _ in range(2))
    return Call((policy, ref, draw.permutations(count, answers), beta), gradient=True)


def _stages(rewards, ranking):
    """Log-probabilities of the stages: best of all, best of the rest, and so on."""
    ordered = rewards.gather(-1, ranking)
    remaining = ordered.flip(-1).logcumsumexp(-1).flip(-1)
    return ordered - remaining


def _rankings(
    order=lambda ranking: ranking,
    rewards=lambda policy, ref, beta: beta * (policy - ref),
    stages=_stages,
    together=lambda logps: -logps.sum(-1).mean(),
):
    """Plackett–Luce DPO with one thing wrong."""

    def loss(policy, ref, ranking, beta):
        return together(stages(rewards(policy, ref, beta), order(ranking)))

    return loss


def _all_items(rewards, ranking):
    return rewards.gather(-1, ranking).log_softmax(-1)


def _by_exponentials(rewards, ranking):
    strengths = rewards.gather(-1, ranking).exp()
    return torch.log(strengths / strengths.flip(-1).cumsum(-1).flip(-1))


def _all_pairs(policy, ref, ranking, beta):
    """Bradley–Terry on every pair of a ranking, and the mean over pairs."""
    ordered = beta * (policy - ref).gather(-1, ranking)
    first, second = torch.triu_indices(*2 * ordered.shape[-1:], offset=1)
    return -F.logsigmoid(ordered[:, first] - ordered[:, second]).mean()


_RANKING = Exercise(
    number="6.7",
    title="Whole rankings",
    reference=plackett_luce_dpo_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                _ranked(draw, [[1.0, 0.0]], [[0, 1]], gradient=True),
                _ranked(draw, [[2.0, 1, 0]] * 2, [[0, 1, 2], [2, 0, 1]], gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "log k! when policy and reference agree: all orders are as likely",
            lambda draw: [
                _ranked(draw, [[0.0, 0.0]], [[0, 1]]),
                _ranked(draw, [[0.0, 0.0, 0.0]], [[0, 1, 2]]),
                _ranked(draw, [[0.0, 0.0, 0.0, 0.0]], [[3, 1, 0, 2]]),
            ],
            value_of,
        ),
        Check(
            "small where log-ratios fall from the best answer to the worst",
            lambda draw: [
                _ranked(draw, [[2.0, 0.0]], [[0, 1]]),
                _ranked(draw, [[2.0, 1.0, 0.0]], [[0, 1, 2]]),
                _ranked(draw, [[2.0, 1.0, 0.0]], [[0, 1, 2]], beta=0.1),
            ],
            value_of,
        ),
        Check(
            "a ranking says which answer stands first, not where the first one stands",
            lambda draw: [
                _ranked(draw, [[1.0, 0.0, 2.0]], [[2, 0, 1]]),
                _ranked(draw, [[3.0, 0.0, 1.0, 2.0]], [[0, 3, 2, 1]]),
                _ranked(draw, [[3.0, 0.0, 1.0, 2.0]], [[1, 2, 3, 0]]),
            ],
            value_of,
        ),
        Check(
            "the mean over prompts",
            lambda draw: [
                _ranked(draw, [[2.0, 1.0, 0.0], [0.0, 2.0, 0.0]], [[0, 1, 2]] * 2)
            ],
            value_of,
        ),
        Check(
            "right on fresh random rankings, values and gradients",
            lambda draw: [
                _drawn_ranking(draw, n, k, beta)
                for n, k, beta in ((1, 2, 0.1), (3, 3, 0.5), (2, 5, 1.0))
            ],
            "equal minus the log-probability of picking the best, then the best of the "
            "rest, and so on; and so must its gradient",
            agrees_where_learnt(1),
        ),
        Check(
            "finite at log-ratios of ±5,000 nats",
            lambda draw: [
                _ranked(draw, [[5000.0, 0.0, -5000.0]], [[0, 1, 2]], beta=0.5),
                _ranked(draw, [[5000.0, 0.0, -5000.0]], [[2, 1, 0]], beta=0.5),
            ],
            value_of,
        ),
    ),
    misconceptions=(
        Misconception(
            "ranks for indices",
            _rankings(order=lambda ranking: ranking.argsort(-1)),
            "each answer's place: [2, 0, 1] means that answer 2 is first, not that "
            "answer 0 is third",
        ),
        Misconception(
            "worst first",
            _rankings(order=lambda ranking: ranking.flip(-1)),
            "a ranking read from its end: the best answer comes first",
        ),
        Misconception(
            "ranking ignored",
            _rankings(order=lambda ranking: ranking.sort(-1).values),
            "answers in the order in which they are stored: `ranking` orders them",
        ),
        Misconception(
            "everybody at every stage",
            _rankings(stages=_all_items),
            "every stage over all answers: who has been picked is out of the race",
        ),
        Misconception(
            "first stage alone",
            _rankings(stages=lambda r, ranking: _stages(r, ranking)[..., :1]),
            "the best against all others, and no further: the rest is ranked as well",
        ),
        Misconception(
            "last two alone",
            _rankings(stages=lambda r, ranking: _stages(r, ranking)[..., -2:]),
            "the last stage alone: the stages before it belong to the ranking too",
        ),
        Misconception(
            "mean over stages",
            _rankings(
                together=lambda logps: -logps.sum(-1).mean() / (logps.shape[-1] - 1)
            ),
            "divided by k − 1: the log-probability of a ranking is the sum over its "
            "stages, and long rankings say more",
        ),
        Misconception(
            "mean over answers",
            _rankings(together=lambda logps: -logps.mean()),
            "divided by k: the log-probability of a ranking is the sum over its stages",
        ),
        Misconception(
            "all pairs",
            _all_pairs,
            "Bradley–Terry on all pairs: another model. Pairs of one ranking are not "
            "independent comparisons",
        ),
        Misconception(
            "no reference",
            _rankings(rewards=lambda policy, ref, beta: beta * policy),
            "log-probabilities in place of log-ratios: subtract the reference's",
        ),
        Misconception(
            "β forgotten",
            _rankings(rewards=lambda policy, ref, beta: policy - ref),
            "β = 1 whatever is asked for: rewards are β times the log-ratios",
        ),
        Misconception(
            "no minus sign",
            _rankings(together=lambda logps: logps.sum(-1).mean()),
            "the log-likelihood without its minus sign: a loss is minimised",
        ),
        Misconception(
            "sum over prompts",
            _rankings(together=lambda logps: -logps.sum()),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "exponentials",
            _rankings(stages=_by_exponentials),
            "e^reward, which overflows: torch.logcumsumexp stays with logarithms",
        ),
    ),
    hints=(
        "β times the log-ratios are rewards; sort them by `ranking`, best first. What "
        "remains is exercise 1.4.",
        "At stage i the log-probability is the i-th reward minus the logsumexp of the "
        "rewards from i to the end. Sum over stages, mean over prompts.",
        "Best first is rewards.gather(1, ranking); the logsumexps of all the ends are "
        "`best_first.flip(1).logcumsumexp(1).flip(1)`.",
    ),
)


def _by(divergence: str) -> dict[str, str]:
    return {"divergence": divergence}


SLOPES = {
    "reverse_kl": lambda u: u,
    "forward_kl": lambda u: -torch.exp(-u),
    "js": F.logsigmoid,
}


def _f_dpo(
    slopes=None,
    gap=None,
    logratios=lambda a, b, c, d: (a - c, b - d),
    reduce=torch.mean,
):
    """f-DPO with one thing wrong: other slopes f′, another gap, other log-ratios."""
    slopes = SLOPES | (slopes or {})

    def loss(a, b, c, d, beta, divergence):
        u, v = logratios(a, b, c, d)
        slope = slopes[divergence]
        margin = gap(slope, u, v, beta) if gap else beta * (slope(u) - slope(v))
        return reduce(-F.logsigmoid(margin))

    return loss


_F_DPO = Exercise(
    number="6.8",
    title="Another divergence",
    reference=f_dpo_loss,
    checks=(
        Check(
            "one number that carries a gradient, for each divergence",
            lambda draw: [
                *(four(draw, BETTER, gradient=True, **_by(name)) for name in SLOPES),
                four(draw, BETTER, WORSE, gradient=True, **_by("js")),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "DPO's loss for the reverse KL",
            lambda draw: [
                four(draw, BETTER, beta=0.5, **_by("reverse_kl")),
                four(draw, WORSE, beta=0.1, **_by("reverse_kl")),
            ],
            value_of,
        ),
        Check(
            "f′(t) = −1/t for the forward KL",
            lambda draw: [
                four(draw, BETTER, beta=0.5, **_by("forward_kl")),
                four(draw, WORSE, beta=0.1, **_by("forward_kl")),
            ],
            value_of,
        ),
        Check(
            "f′(t) = log(2t/(1 + t)) for Jensen–Shannon",
            lambda draw: [
                four(draw, WORSE, beta=0.5, **_by("js")),
                four(draw, [-1, -3, -4, -5], beta=2.0, **_by("js")),
            ],
            value_of,
        ),
        Check(
            "the mean over pairs",
            lambda draw: [
                four(draw, BETTER, WORSE, beta=0.5, **_by("reverse_kl")),
                four(draw, BETTER, BETTER, WORSE, beta=0.5, **_by("js")),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, values and gradients",
            lambda draw: [
                drawn_four(draw, n, beta, gradient=True, scale=1.0, **_by(name))
                for name in SLOPES
                for n, beta in ((1, 0.1), (5, 1.0))
            ],
            "equal the mean of −log σ(β [f′(e^u) − f′(e^v)]), and so must its gradient",
            agrees_where_learnt(2),
        ),
        Check(
            "finite for Jensen–Shannon at log-ratios of −5,000 nats",
            lambda draw: [
                four(draw, [-5000, 0, 0, 0], beta=0.5, gradient=True, **_by("js")),
                four(draw, [0, -5000, 0, 0], beta=0.5, gradient=True, **_by("js")),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.4g}, with a gradient that is finite"
            ),
            agrees_where_learnt(2),
        ),
    ),
    misconceptions=(
        Misconception(
            "forward and reverse exchanged",
            _f_dpo(
                {
                    "forward_kl": SLOPES["reverse_kl"],
                    "reverse_kl": SLOPES["forward_kl"],
                }
            ),
            "the two KLs exchanged: DPO's own is the reverse one, f(t) = t log t",
        ),
        Misconception(
            "divergence ignored",
            _f_dpo(dict.fromkeys(SLOPES, SLOPES["reverse_kl"])),
            "DPO's loss whatever the divergence is",
        ),
        Misconception(
            "slope of the gap",
            _f_dpo(
                gap=lambda slope, u, v, beta: (
                    beta * (slope(u - v) - slope(0 * u.detach()))
                )
            ),
            "f′ of the gap: it is taken of each ratio by itself, then the difference",
        ),
        Misconception(
            "β inside f′",
            _f_dpo(gap=lambda slope, u, v, beta: slope(beta * u) - slope(beta * v)),
            "f′ of β times the log-ratio: β multiplies the difference of the slopes",
        ),
        Misconception(
            "ratio in place of its logarithm",
            _f_dpo({"reverse_kl": torch.exp}),
            "the ratio t itself for the reverse KL: the derivative of t log t is "
            "log t + 1",
        ),
        Misconception(
            "f in place of f′",
            _f_dpo(
                {
                    "reverse_kl": lambda u: u * u.exp(),
                    "forward_kl": torch.neg,
                    "js": lambda u: (
                        u * u.exp()
                        - (1 + u.exp()) * (F.softplus(u) - torch.log(2 + 0 * u))
                    ),
                }
            ),
            "f itself: the loss compares derivatives f′, which is where the multiplier "
            "of a constraint appears",
        ),
        Misconception(
            "plus for the forward KL",
            _f_dpo({"forward_kl": lambda u: torch.exp(-u)}),
            "+1/t for the forward KL: f is −log t, so that f′ is −1/t",
        ),
        Misconception(
            "ratio turned round",
            _f_dpo({"forward_kl": lambda u: -torch.exp(u)}),
            "−t for the forward KL: t is π/π_ref = e^u, so that −1/t is −e^(−u)",
        ),
        Misconception(
            "numerator forgotten",
            _f_dpo({"js": lambda u: F.logsigmoid(-u)}),
            "−log(1 + t) for Jensen–Shannon: there is a t above it, and t/(1 + t) is "
            "σ(u)",
        ),
        Misconception(
            "log(sigmoid)",
            _f_dpo({"js": lambda u: torch.log(torch.sigmoid(u))}),
            "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: "
            "use F.logsigmoid",
        ),
        Misconception(
            "swapped",
            _f_dpo(gap=lambda slope, u, v, beta: beta * (slope(v) - slope(u))),
            "rejected minus chosen: the chosen answer's slope comes first",
        ),
        Misconception(
            "no reference",
            _f_dpo(logratios=lambda a, b, c, d: (a, b)),
            "the policy's log-probabilities alone: t is a ratio to the reference",
        ),
        Misconception(
            "sum in place of mean",
            _f_dpo(reduce=torch.sum),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
    ),
    hints=(
        "Write f′(e^u) as a function of the log-ratio u for each of the three. "
        "Constants may go: the difference cancels them.",
        "Reverse KL: u. Forward KL: −e^(−u). Jensen–Shannon: log(t/(1 + t)) with "
        "t = e^u, which is log σ(u).",
        "Replace u and v by f′ of them, then `-F.logsigmoid(beta * (u - v)).mean()`.",
    ),
)

EXERCISES = (_ROBUST, _RANKING, _F_DPO)
