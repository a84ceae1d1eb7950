"""Chapter 01: Bradley–Terry, from scores to choices and back."""

import torch
import torch.nn.functional as F

from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.preferences import (
    accuracy_ceiling,
    bradley_terry_standard_errors,
    fit_bradley_terry,
    plackett_luce_log_prob,
    reward_model_loss,
)
from course_lib.submission.observing import Call


def _pair(draw: Draw, chosen: list[float], rejected: list[float], **kwargs) -> Call:
    return Call((draw.tensor(chosen), draw.tensor(rejected)), **kwargs)


_LOSS = Exercise(
    number="1.1",
    title="The loss of a reward model",
    reference=reward_model_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                _pair(draw, [1.0], [0.0], gradient=True),
                _pair(draw, [1, 2, 3], [0, 0, 1], gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "ln 2 when the model has no opinion",
            lambda draw: [_pair(draw, [0.0], [0.0]), _pair(draw, [5, -3], [5, -3])],
            value_of,
        ),
        Check(
            "below ln 2 when the chosen answer has the higher reward",
            lambda draw: [_pair(draw, [2.0], [1.0]), _pair(draw, [-1.0], [-4.0])],
            "be below 0.6931 and above 0",
            lambda call, yours, ours, near: 0 < yours.numbers[0] < 0.6931,
        ),
        Check(
            "the mean over the batch",
            lambda draw: [_pair(draw, [2, 0], [0, 0]), _pair(draw, [2] * 4, [0] * 4)],
            value_of,
        ),
        Check(
            "right on fresh random rewards, values and gradients",
            lambda draw: [
                Call((draw.normal(n, scale=2), draw.normal(n, scale=2)), gradient=True)
                for n in (1, 2, 7)
            ],
            "equal the mean of −log σ(chosen − rejected), and so must its gradient",
        ),
        Check(
            "finite when the model is wrong by 2000 logits, and still pushing",
            lambda draw: [
                _pair(draw, [-2000.0], [0.0], gradient=True),
                _pair(draw, [0.0], [-2000.0], gradient=True),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.4g}, with a gradient that is finite"
            ),
        ),
    ),
    misconceptions=(
        Misconception(
            "swapped",
            lambda c, r: -F.logsigmoid(r - c).mean(),
            "rejected minus chosen: training on it would reward the worse answer",
        ),
        Misconception(
            "no minus sign",
            lambda c, r: F.logsigmoid(c - r).mean(),
            "the log-likelihood without its minus sign: a loss is minimised",
        ),
        Misconception(
            "sum in place of mean",
            lambda c, r: -F.logsigmoid(c - r).sum(),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "log(sigmoid)",
            lambda c, r: -torch.log(torch.sigmoid(c - r)).mean(),
            "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: "
            "use F.logsigmoid, which never forms the sigmoid",
        ),
        Misconception(
            "probability in place of its log",
            lambda c, r: (1 - torch.sigmoid(c - r)).mean(),
            "1 − σ(Δ): a bounded loss that stops pushing where the model is most "
            "wrong. "
            "The likelihood needs the logarithm",
        ),
        Misconception(
            "mean before the logarithm",
            lambda c, r: -F.logsigmoid((c - r).mean()),
            "one logarithm of the mean difference: a large win would pay for a loss. "
            "Each pair has a likelihood of its own",
        ),
        Misconception(
            "hinge",
            lambda c, r: F.relu(1 - (c - r)).mean(),
            "a hinge: another loss, with no probability behind it",
        ),
        Misconception(
            "unreduced",
            lambda c, r: -F.logsigmoid(c - r),
            "one loss for each pair: backward() needs a single number, their mean",
        ),
        Misconception(
            "detached",
            lambda c, r: -F.logsigmoid(c - r).mean().detach(),
            "the right number cut off from the rewards: no gradient reaches the model",
        ),
        Misconception(
            "rejected side detached",
            lambda c, r: -F.logsigmoid(c - r.detach()).mean(),
            "a rejected reward that gets no gradient: both sides of the difference "
            "learn",
        ),
    ),
    hints=(
        "The likelihood of a whole data set is a product over pairs; its logarithm is "
        "a "
        "sum; a loss is minus that, averaged.",
        "Each pair contributes −log P(chosen ≻ rejected), and exercise 0.1 gave you P.",
        "`F.logsigmoid(chosen_rewards - rejected_rewards)`, its mean, and a minus "
        "sign.",
    ),
)


def _season(draw: Draw, items: int, games: int) -> torch.Tensor:
    """A random table of wins in which everybody beat everybody at least once."""
    table = draw.integers(1, games, items, items)
    return table - table.diag().diag()


def _win_log_odds(wins):
    won, lost = wins.sum(1), wins.sum(0)
    scores = torch.log(won / lost)
    return scores - scores[0]


def _centred(wins):
    scores = fit_bradley_terry(wins)
    return scores - scores.mean()


def _last_is_zero(wins):
    scores = fit_bradley_terry(wins)
    return scores - scores[-1]


def _win_share(wins):
    share = wins.sum(1) / (wins + wins.T).sum(1)
    return share - share[0]


_FIT = Exercise(
    number="1.2",
    title="Strengths from a season",
    reference=fit_bradley_terry,
    within=5e-4,  # a climb by small steps is as good as the library's Newton steps
    checks=(
        Check(
            "one score for each item",
            lambda draw: [
                Call((draw.tensor([[0, 1], [3, 0]]),)),
                Call((_season(draw, 4, 9),)),
            ],
            lambda call, ours: f"be a tensor of shape {ours.shape}",
            lambda call, yours, ours, near: (
                (yours.kind, yours.shape) == (ours.kind, ours.shape)
                and not yours.changed
            ),
        ),
        Check(
            "0 for the first item, whoever it is",
            lambda draw: [
                Call((draw.tensor([[0, 1], [3, 0]]),)),
                Call((_season(draw, 3, 9),)),
            ],
            "have 0 as its first entry: scores have no zero of their own",
            lambda call, yours, ours, near: abs(yours.numbers[0]) < 1e-6,
        ),
        Check(
            "higher for who wins more",
            lambda draw: [Call((draw.tensor([[0, 1], [3, 0]]),))],
            "give the second item, which won 3 of 4, the higher score",
            lambda call, yours, ours, near: yours.numbers[1] > 0,
        ),
        Check(
            "ln 3 for a record of 3 : 1",
            lambda draw: [Call((draw.tensor([[0, 1], [3, 0]]),))],
            "be ln 3 = 1.0986 apart, to three decimals",
        ),
        Check(
            "who you beat counts, not how often you win",
            lambda draw: [
                Call((draw.tensor([[0, 6, 1], [2, 0, 0], [1, 1, 0]]),)),
                Call(
                    (
                        draw.tensor(
                            [[0, 9, 0, 1], [1, 0, 9, 1], [1, 1, 0, 9], [1] * 3 + [0]]
                        ),
                    )
                ),
            ],
            "expect as many wins for each item as it had: "
            "Σ_j games_ij σ(s_i − s_j) = wins_i",
        ),
        Check(
            "the maximum of the likelihood, to three decimals, on fresh random seasons",
            lambda draw: [Call((_season(draw, items, 9),)) for items in (3, 5, 7)],
            "be where the likelihood of the whole table is highest; "
            "more steps, or larger ones?",
        ),
    ),
    misconceptions=(
        Misconception(
            "table read the wrong way round",
            lambda wins: fit_bradley_terry(wins.T),
            "losses read as wins: wins[i, j] counts how often i beat j",
        ),
        Misconception(
            "log odds of all games",
            _win_log_odds,
            "the log odds of each item's own record: it forgets whom the games were "
            "against. Fit all scores together",
        ),
        Misconception(
            "share of games won",
            _win_share,
            "the share of games won: a probability, not a score in logits, and blind "
            "to "
            "the opponents",
        ),
        Misconception(
            "constant left free",
            _centred,
            "scores that average 0: right up to a constant. Subtract the first one",
        ),
        Misconception(
            "last item as the zero",
            _last_is_zero,
            "scores counted from the last item; the first one is to be 0",
        ),
        Misconception(
            "strengths in place of their logarithms",
            lambda wins: fit_bradley_terry(wins).exp(),
            "e to the score: the strengths that multiply. Scores are their logarithms",
        ),
    ),
    hints=(
        "At the maximum each item's expected wins equal its wins. Away from it, the "
        "difference of the two is the gradient.",
        "games = wins + wins.T and expected = (games * sigmoid(s[:, None] - "
        "s)).sum(1). "
        "Step along wins.sum(1) − expected; a rate of about 1 / games per item is "
        "safe.",
        "A few thousand steps of `scores = scores + rate * (wins.sum(1) - expected)`, "
        "in "
        "float64, then `scores - scores[0]`.",
    ),
)


def _errors(scores, games, *, variance=False, full=False, shared=False, count=True):
    probability = torch.sigmoid(scores[:, None] - scores)
    weight = games * probability * (1 - probability) if count else games * probability
    information = weight.sum(1).diag() - weight
    errors = torch.zeros_like(scores)
    if full:
        return torch.linalg.pinv(information).diagonal().sqrt()
    if shared:
        errors[1:] = (1 / information.diagonal()[1:]).sqrt()
        return errors
    inverse = torch.linalg.inv(information[1:, 1:]).diagonal()
    errors[1:] = inverse if variance else inverse.sqrt()
    return errors


def _fitted(draw: Draw, items: int) -> Call:
    wins = _season(draw, items, 9)
    return Call((fit_bradley_terry(wins), (wins + wins.T).double()))


def _known(scores: list[float], games: list[list[float]]) -> Call:
    # Standard errors are asked for in float64, as the fitted scores come
    return Call((torch.tensor(scores).double(), torch.tensor(games).double()))


_ERRORS = Exercise(
    number="1.3",
    title="How sure is a strength?",
    reference=bradley_terry_standard_errors,
    checks=(
        Check(
            "one standard error for each item, 0 for the first",
            lambda draw: [_known([0, 0], [[0, 4], [4, 0]]), _fitted(draw, 4)],
            lambda call, ours: f"be a tensor of shape {ours.shape} that begins with 0",
            lambda call, yours, ours, near: (
                returns_like(call, yours, ours, near) and yours.numbers[0] == 0
            ),
        ),
        Check(
            "1 after four even games",
            lambda draw: [_known([0, 0], [[0, 4], [4, 0]])],
            "be 1 for the second item: four games of information ¼ each",
        ),
        Check(
            "half as large after four times the games",
            lambda draw: [_known([0, 0], [[0, 16], [16, 0]])],
            "be ½: an error shrinks with the root of the number of games",
        ),
        Check(
            "larger for a lopsided pair, whose games say little",
            lambda draw: [_known([1, 3], [[0, 4], [4, 0]])],
            "weigh each game by p (1 − p), which is small where the winner is foreseen",
        ),
        Check(
            "smaller through others: i against k and k against j says something of i "
            "and j",
            lambda draw: [_known([0] * 3, [[0, 4, 4], [4, 0, 4], [4, 4, 0]])],
            "use the whole inverse of the information matrix, not its diagonal alone",
        ),
        Check(
            "right on fresh fitted seasons",
            lambda draw: [_fitted(draw, items) for items in (3, 6)],
            "be √ of the diagonal of the inverse information, first item left out",
        ),
    ),
    misconceptions=(
        Misconception(
            "variance",
            lambda s, g: _errors(s, g, variance=True),
            "variances: a standard error is their square root",
        ),
        Misconception(
            "diagonal inverted alone",
            lambda s, g: _errors(s, g, shared=True),
            "1 / √I_ii, as if the other scores were known: invert the matrix first, "
            "then "
            "take its diagonal",
        ),
        Misconception(
            "nothing held fixed",
            lambda s, g: _errors(s, g, full=True),
            "errors of scores that average 0 (a pseudo-inverse): leave out the first "
            "row "
            "and column before inverting",
        ),
        Misconception(
            "p in place of p (1 − p)",
            lambda s, g: _errors(s, g, count=False),
            "p where the information of a game is p (1 − p)",
        ),
    ),
    hints=(
        "The information of one game between i and j is p (1 − p), p = σ(s_i − s_j): "
        "on "
        "the diagonal for both, with a minus sign off the diagonal.",
        "weight = games * p * (1 - p); information = diag(weight.sum(1)) − weight. It "
        "is "
        "singular until one score is held fixed.",
        "Drop the first row and column, `torch.linalg.inv`, its diagonal, the square "
        "root, and a 0 in front.",
    ),
)


def _ranked(draw: Draw, scores: list[float], ranking: list[int], **kwargs) -> Call:
    return Call((draw.tensor(scores), torch.tensor(ranking)), **kwargs)


def _inverse(ranking):
    return ranking.argsort(-1)


def _pl_mean(scores, ranking):
    return plackett_luce_log_prob(scores, ranking) / (scores.shape[-1] - 1)


def _pl_all_pairs(scores, ranking):
    ordered = scores.gather(-1, ranking)
    differences = ordered[..., :, None] - ordered[..., None, :]
    upper = torch.ones(scores.shape[-1], scores.shape[-1]).triu(1).to(scores)
    return (F.logsigmoid(differences) * upper).sum((-2, -1))


def _pl_neighbours(scores, ranking):
    ordered = scores.gather(-1, ranking)
    return F.logsigmoid(ordered[..., :-1] - ordered[..., 1:]).sum(-1)


def _pl_never_removed(scores, ranking):
    return scores.log_softmax(-1).gather(-1, ranking).sum(-1)


def _pl_no_log_trick(scores, ranking):
    ordered = scores.gather(-1, ranking).exp()
    remaining = ordered.flip(-1).cumsum(-1).flip(-1)
    return (ordered / remaining).log().sum(-1)


_RANKING = Exercise(
    number="1.4",
    title="The probability of a whole ranking",
    reference=plackett_luce_log_prob,
    checks=(
        Check(
            "one log-probability for each ranking",
            lambda draw: [
                _ranked(draw, [0.0, 0.0], [0, 1], gradient=True),
                Call((draw.normal(4, 3), draw.permutations(4, 3)), gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "−log k! when all scores are equal",
            lambda draw: [
                _ranked(draw, [0.0, 0.0], [1, 0]),
                _ranked(draw, [7.0] * 4, [3, 1, 0, 2]),
            ],
            value_of,
        ),
        Check(
            "Bradley–Terry for two items",
            lambda draw: [
                _ranked(draw, [1.0, 0.0], [0, 1]),
                _ranked(draw, [1.0, 0.0], [1, 0]),
            ],
            "be log σ(better − worse)",
        ),
        Check(
            "[2, 0, 1] means: item 2 first, then item 0, then item 1",
            lambda draw: [_ranked(draw, [1.0, 0.0, 2.0], [2, 0, 1])],
            lambda call, ours: (
                f"be {ours.numbers[0]:.4f}, the likeliest of all orders: best to worst"
            ),
        ),
        Check(
            "right on fresh random rankings, values and gradients",
            lambda draw: [
                Call((draw.normal(n, k), draw.permutations(n, k)), gradient=True)
                for n, k in ((1, 3), (2, 5), (5, 4))
            ],
            "equal Σ_i [ s_(i) − log Σ_{j ≥ i} e^{s_(j)} ], and so must its gradient",
        ),
        Check(
            "finite for scores as large as 2000",
            lambda draw: [
                _ranked(draw, [2000.0, 0.0, 1000.0], order, gradient=True)
                for order in ([0, 2, 1], [1, 2, 0])
            ],
            "stay finite: e^2000 is not a number that a computer holds",
        ),
    ),
    misconceptions=(
        Misconception(
            "ranks in place of an order",
            lambda s, r: plackett_luce_log_prob(s, _inverse(r)),
            "the ranking read as «place of item i»: it lists items, the best one first",
        ),
        Misconception(
            "worst to best",
            lambda s, r: plackett_luce_log_prob(s, r.flip(-1)),
            "the ranking read from worst to best",
        ),
        Misconception(
            "mean over the stages",
            _pl_mean,
            "the mean over the k − 1 choices: a log-probability is their sum. Divided, "
            "it "
            "no longer sums to one over all rankings",
        ),
        Misconception(
            "mean over the items",
            lambda s, r: plackett_luce_log_prob(s, r) / s.shape[-1],
            "the mean over the k terms of the sum: a log-probability is the sum itself",
        ),
        Misconception(
            "negated",
            lambda s, r: -plackett_luce_log_prob(s, r),
            "minus the log-probability: that is the loss",
        ),
        Misconception(
            "all pairs as if independent",
            _pl_all_pairs,
            "Bradley–Terry over all pairs: the pairs of one ranking are not "
            "independent, "
            "and the probabilities of all rankings would not sum to one",
        ),
        Misconception(
            "neighbours only",
            _pl_neighbours,
            "neighbours compared two by two: the first choice is made among all items",
        ),
        Misconception(
            "nothing is removed",
            _pl_never_removed,
            "a softmax over all items at every stage: whoever was picked is gone",
        ),
        Misconception(
            "overflowing exponentials",
            _pl_no_log_trick,
            "exponentials that overflow: stay in logs with logsumexp or logcumsumexp",
        ),
        Misconception(
            "probability",
            lambda s, r: plackett_luce_log_prob(s, r).exp(),
            "the probability, not its logarithm",
        ),
    ),
    hints=(
        "Draw the best item with a softmax over all of them, take it away, draw the "
        "next "
        "with a softmax over those that are left. Multiply; in logs, add.",
        "`scores.gather(-1, ranking)` puts the scores in order. Stage i needs the "
        "logsumexp of entry i and all entries after it.",
        "`ordered.flip(-1).logcumsumexp(-1).flip(-1)` gives all those logsumexps at "
        "once; "
        "the answer is the sum of `ordered` minus it.",
    ),
)


def _chances(draw: Draw, values: list[float]) -> Call:
    return Call((draw.tensor(values),))


_CEILING = Exercise(
    number="1.5",
    title="The ceiling that noise puts on accuracy",
    reference=accuracy_ceiling,
    checks=(
        Check(
            "one number for the whole batch",
            lambda draw: [_chances(draw, [0.8]), Call((draw.uniform(5),))],
            kind_of,
            returns_like,
        ),
        Check(
            "1 when every label is certain, either way",
            lambda draw: [_chances(draw, [1.0]), _chances(draw, [0.0, 1.0])],
            value_of,
        ),
        Check(
            "one half when every label is a coin",
            lambda draw: [_chances(draw, [0.5]), _chances(draw, [0.5, 0.5, 0.5])],
            value_of,
        ),
        Check(
            "0.9 for a pair that is 9 : 1, whichever answer stands first",
            lambda draw: [_chances(draw, [0.9]), _chances(draw, [0.1])],
            value_of,
        ),
        Check(
            "right on fresh random chances",
            lambda draw: [Call((draw.uniform(n),)) for n in (2, 3, 9)],
            "equal the mean of the larger of p and 1 − p",
        ),
    ),
    misconceptions=(
        Misconception(
            "mean probability",
            lambda p: p.mean(),
            "the mean of p: the best guess is the second answer wherever p < ½",
        ),
        Misconception(
            "larger of the means",
            lambda p: torch.maximum(p.mean(), 1 - p.mean()),
            "one guess for all pairs: a model may choose anew for each pair",
        ),
        Misconception(
            "agreement of two draws",
            lambda p: (p**2 + (1 - p) ** 2).mean(),
            "how often two labels drawn for a pair agree: p² + (1 − p)². The best "
            "guess "
            "does better than a second draw",
        ),
        Misconception(
            "advantage over a coin",
            lambda p: (2 * p - 1).abs().mean(),
            "how much better than a coin the best guess is, |2p − 1|: at p = ½ a guess "
            "is still right half of the time",
        ),
        Misconception(
            "worst accuracy",
            lambda p: torch.minimum(p, 1 - p).mean(),
            "how often the best guess is *wrong*: the smaller of p and 1 − p",
        ),
        Misconception(
            "unreduced",
            lambda p: torch.maximum(p, 1 - p),
            "a ceiling for each pair: the accuracy of a data set is their mean",
        ),
        Misconception(
            "rounded",
            lambda p: (p > 0.5).to(p.dtype).mean(),
            "how often the first answer is the favourite, not how often the favourite "
            "wins",
        ),
    ),
    hints=(
        "You know p exactly and must name a winner for one pair. Which one, and how "
        "often "
        "are you right?",
        "For one pair the best guess is right with the larger of p and 1 − p. Then "
        "average over pairs.",
        "`torch.maximum(p, 1 - p).mean()`",
    ),
)

EXERCISES = (_LOSS, _FIT, _ERRORS, _RANKING, _CEILING)
