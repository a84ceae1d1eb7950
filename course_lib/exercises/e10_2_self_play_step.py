"""Exercise 10.2: A round of self-play."""

from course_lib.limits.games import self_play_step
from .policies import EVEN, is_policy
from .spec import Exercise, Recipe, agrees, builder, fresh, given, rule, value


@builder
def _game(inputs, eta: float, *shape: int):
    size = shape[-1]
    strength = inputs.normal(size, size)
    table = (strength - strength.T).sigmoid()
    return inputs.normal(*shape).softmax(-1), table, eta


SURE = [[0.5, 1.0], [0.0, 0.5]]
CIRCLE = [[0.5, 0.2, 0.8], [0.8, 0.5, 0.2], [0.2, 0.8, 0.5]]
THIRDS = [1 / 3, 1 / 3, 1 / 3]

STEPS = """
policy table eta:
wins = policy @ table.mT  # the win rates
tilt = eta * wins  # η times the win rates
start = policy.log()  # the logarithm of the policy
logits = start + tilt  # the tilted logarithm
stepped = softmax(logits, -1)  # the policy of the next round
"""
FAULTS = """
how often it loses: wins = policy @ table
    the columns of the table, or a minus sign: what loses most would gain. An answer
    gains by how often it beats the policy, which is in its row
not weighed: wins = table.mean(-1).expand_as(policy)
    a mean over all opponents: the opponent is the policy, so weigh them with its
    probabilities
a sum: wins = table.sum(-1).expand_as(policy)
    a sum over all opponents: weigh them with the policy's probabilities
without the policy: logits = tilt
    a softmax of the win rates alone: the next policy starts from this one
not normalised: stepped = policy * exp(tilt)
    weights that do not sum to 1: divide by their sum, or use a softmax
divided by η: tilt = wins / eta
    win rates divided by η: a larger step moves further. (SPPO's loss has β = 1/η)
overflowing exponentials: stepped = share(policy * exp(tilt))
    exponentials that overflow for a large step: a softmax of log π + ηP subtracts the
    largest first
a small number added: start = log(policy + 1e-12)
    a small number added to the policy: log 0 = −∞ is right here, it keeps at 0 what the
    policy never says
added: stepped = share(policy + exp(tilt))
    the tilt added to the policy: it multiplies the policy
replicator: stepped = share(policy * (1 + tilt))
    π (1 + ηP), the first order of the exponential: close for small η only
logits of the wins: tilt = eta * torch.logit(wins)
    the log-odds of the win rates, DPO's kind of tilt: self-play takes the win rates
    themselves
its favourite: wins = table.mT[policy.argmax(-1)]
    win rates against the favourite answer alone: the opponent draws from the whole
    policy
best answer: stepped = torch.where(wins == wins.amax(-1, keepdim=True),
        torch.ones_like(policy), torch.zeros_like(policy))
    all the probability to the best opponent: that is a step without end. Tilt by e^{ηP}
mean of exponentials: wins = log(policy @ exp(eta * table.mT)) / eta
    the mean of e^{η P} where e to the η times the mean win rate is wanted: average
    first
held at 0: tilt = eta * relu(wins - 0.5)
    only what wins more than half is lifted: what loses is to fall as well, by the same
    factor rule
the policy itself: start = policy
    the policy where its logarithm belongs, beside η times the win rates
"""
CHECKS = (
    rule(
        "one probability for each answer, and rows that sum to 1",
        "be a tensor like policy, and sum to 1 in each row",
        [given(EVEN, SURE, 1.0), _game(0.5, 3, 4)],
        holds=is_policy,
    ),
    value(
        "an answer that always wins, from even chances",
        [given(EVEN, SURE, 1.0), given(EVEN, SURE, 4.0)],
    ),
    value(
        "the Nash policy of a circle stays where it is", [given(THIRDS, CIRCLE, 2.0)]
    ),
    value(
        "mostly rock: paper must gain",
        [given([0.6, 0.2, 0.2], CIRCLE, 1.0), given([0.8, 0.1, 0.1], CIRCLE, 3.0)],
    ),
    rule(
        "an answer at 0, and a step of 2000",
        "keep 0 at exactly 0 and stay finite: e^{1600} is no number of a computer",
        [given([0.6, 0.4, 0.0], CIRCLE, 1.0), given([0.6, 0.2, 0.2], CIRCLE, 2000.0)],
        holds=lambda call, yours, ours, near: (
            agrees(call, yours, ours, near)
            and all(
                y == 0
                for y, o in zip(yours.numbers, ours.numbers, strict=True)
                if o == 0
            )
        ),
    ),
    fresh(
        "be in proportion to policy · e^{η · wins against the policy}",
        [_game(0.5, 3), _game(2.0, 4), _game(1.0, 3, 5)],
    ),
)
HINTS = """
Row i of the table says how often answer i beats each other one. Against an opponent who
    draws from the policy, how often does it win?
The win rates are a matrix product with the policy. Then tilt the policy by them as
    chapter 02 tilts by a reward, with 1/η for β.
`policy @ table.T` has the win rates, also for many policies. A softmax of
    `policy.log()` plus η times them is the next round.
"""
RECIPE = Recipe(STEPS, share=lambda weights: weights / weights.sum(-1, keepdim=True))
EXERCISE = Exercise(__doc__, self_play_step, RECIPE, FAULTS, CHECKS, HINTS)
