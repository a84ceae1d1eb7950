"""Exercise 9.2: What one step of LoRA does to the weight."""

from course_lib.production.lora import lora_step
from .spec import Exercise, fresh, given, kind, normal, rule, value

STEPS = """
a b g alpha rate:
scale = alpha / a.shape[0]  # the scale α/r
da = scale * b.T @ g  # the gradient of A
db = scale * g @ a.T  # the gradient of B
a2 = a - rate * da  # A after the step
b2 = b - rate * db  # B after the step
before = b @ a  # the product before
after = b2 @ a2  # the product after
moved = scale * (after - before)  # the weight's move
"""
FAULTS = """
full step: moved = -rate * g
    the step of full training: with an adapter the gradient reaches W' through A and B
    alone
scale not divided: scale = alpha + 0 * alpha
    α itself: the scale of an adapter is α/r
α/√r: scale = alpha / a.shape[0] ** 0.5
    α/√r, the scale of rank-stabilised LoRA: here it is α/r
product of the moves: moved = scale * (b2 - b) @ (a2 - a)
    the product of the two moves: B A also changes by ΔB A and B ΔA, which are the
    larger part
scale once: da = b.T @ g; db = g @ a.T
    gradients of A and B without the scale: W' = W + s B A, so the chain rule puts s
    into both
scale outside forgotten: moved = after - before
    the product's move: the weight moves s times as far
A alone: b2 = b
    B left where it was: at the start it is B that moves
B alone: a2 = a
    A left where it was: it moves as soon as B is not 0
one after the other: db = scale * g @ (a - rate * scale * b.T @ g).T
    A moved first and then used for B: one step takes both gradients at the same place
first order: moved = -rate * scale * (db @ a + b @ da)
    the terms in η alone: both factors move, so there is a term in η² as well
uphill: a2 = a + rate * da; b2 = b + rate * db
    against the gradient's sign: a step goes down
after, not moved: moved = scale * after
    where the adapter is after the step: asked is how far it has moved
width for the rank: scale = alpha / a.shape[1]
    α over the width of A: the rank is the number of its rows
rounded down: scale = alpha // a.shape[0]
    α // r, which is rounded down: divide by /
"""
CHECKS = (
    kind("a matrix like the gradient", [given([[1, 0]], [[0]], [[2, 3]], 1.0, 0.1)]),
    value(
        "a fresh adapter of rank one: B is 0, and A looks along one direction",
        [
            given([[1, 0]], [[0]], [[2, 3]], 1.0, 0.1),
            given([[1, 1]], [[0], [0]], [[2, 3], [0, 1]], 1.0, 0.1),
        ],
    ),
    rule(
        "twice the α, four times the step",
        "be four times as far for twice the α: the scale counts in the adapter and "
        "again in its gradient",
        [
            given([[1, 0]], [[0]], [[2, 3]], 2.0, 0.1),
            given([[1, 0], [0, 1]], [[0, 0]], [[2, 3]], 2.0, 0.1),
        ],
    ),
    rule(
        "a trained adapter: both factors move",
        "be s(B − η dB)(A − η dA) − sBA, with both gradients taken before the step",
        [given([[1, 2]], [[0.5], [-1]], [[2, 3], [1, 0]], 2.0, 0.5)],
    ),
    fresh(
        "equal s(B − η dB)(A − η dA) − sBA",
        [
            given(normal(2, 5), normal(3, 2), normal(3, 5), 3.0, 0.3),
            given(normal(4, 3), normal(2, 4), normal(2, 3), 10.0, 0.05),
        ],
    ),
)
HINTS = """
W' = W + s B A with s = α/r. If the loss has the gradient G at W', what does the chain
    rule give for A, and what for B?
dA = s Bᵀ G and dB = s G Aᵀ. Move both at once, then multiply again.
`scale * (new_b @ new_a - b @ a)` with `scale = alpha / len(a)`, `new_b = b - rate *
    scale * g @ a.T`, `new_a = a - rate * scale * b.T @ g`
"""
EXERCISE = Exercise(__doc__, lora_step, STEPS, FAULTS, CHECKS, HINTS)
