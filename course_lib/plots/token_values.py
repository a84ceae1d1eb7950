"""Chapter 10: an answer's reward, paid out token by token."""

from collections.abc import Callable
from itertools import pairwise

from matplotlib.axes import Axes
from torch import Tensor

from course_lib.limits.token_values import answer_token_logps, prefix_values
from course_lib.plots.marks import arrow, dot, name, number
from course_lib.plots.palette import DOTTED, INK, MARK, QUIET
from course_lib.plots.style import Scene, panel
from course_lib.policies import optimal_policy
from course_lib.worlds import SentenceWorld, World

LOW, HIGH = -3.4, 3.3  # of the rewards of a film, with room
END = "(end)"


def token_credit(
    sentences: SentenceWorld, world: World, values: Callable = prefix_values
) -> Scene:
    """The value of an answer's beginnings, and what each token adds.

    sentences, world: World S with its reference; its first prompt asks about a film
    values: values(policy_logps, ref_logps, rewards, beta), the function to draw
    sliders: answer, in words; beta, reward per nat
    """
    ref, rewards = world.ref[0], world.rewards[0]

    def draw(axis: Axes, answer: str, beta: float) -> str:
        which = [world.names.index(answer)]
        policy, before = (
            answer_token_logps(probabilities, sentences, which)
            for probabilities in (optimal_policy(ref, rewards, beta), ref)
        )
        length = int(sentences.lengths[which])
        levels = values(policy, before, rewards[which], beta)[0, : length + 1].tolist()
        tokens = [*answer.replace("(nothing)", "").split(), END][:length]
        _walk(axis, levels, tokens, before[0].exp(), policy[0].exp())
        gains = [after - at for at, after in pairwise(levels)]
        listed = ", ".join(
            f"{token} {number(gain, '+.2f')}"
            for token, gain in zip(tokens, gains, strict=True)
        )
        return (
            f"“{answer}” at β = {beta:.3g}: from β log Z = {number(levels[0])} to its "
            f"reward {number(levels[-1])}. Credit: {listed}."
        )

    return Scene.of(
        draw,
        panel(
            "Value, in units of reward",
            ("tokens of the answer, in order", -0.5, 3.45),
            (LOW, HIGH),
            xticks=[],
            yticks=[-2, -1, 0, 1, 2, 3],
        ),
        says="Token by token, the value goes from β log Z to the reward",
        shows="◆ the value of what has been said so far. Arrows: a token’s credit, β "
        "times its log-ratio.\nBelow: how likely the token is there, under the "
        "reference and under π*.",
        height=4.0,
    )


def _walk(axis: Axes, levels: list, tokens: list, before: Tensor, after: Tensor):
    """From diamond to diamond; below each token how likely it was, and is."""
    name(axis, 0, levels[0], f"β log Z = {number(levels[0])}", INK, **_above(True))
    dot(axis, 0, levels[0])
    for place, token in enumerate(tokens, 1):
        at, now = levels[place - 1], levels[place]
        up = now >= at
        color = MARK["chosen" if up else "rejected"]["color"]
        axis.plot([place - 1, place], [at, at], lw=1, **DOTTED)
        arrow(axis, (place, at), (place, now), "", color)
        dot(axis, place, now, ms=7)
        name(axis, place, now, number(now - at, "+.2f"), color, **_above(up))
        chances = f"{float(before[place - 1]):.2f} → {float(after[place - 1]):.2f}"
        name(axis, place, LOW, f"{token}\n{chances}", QUIET, at=(0, 17), ha="center")
    name(axis, 0, LOW, "token\nreference → π*", QUIET, at=(0, 17), ha="center")


def _above(up: bool) -> dict:
    return {"at": (0, 13 if up else -13), "ha": "center"}
