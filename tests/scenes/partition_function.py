"""Chapter 03."""

STILL: dict = {}
# every figure that moves: its arguments, and the ends and a middle of its sliders
SCENES = {
    "answer_counts": ((), [{"length": x} for x in (1.0, 20.0, 100.0)]),
    "partition_estimates": (
        (),
        [
            {"n": n, "beta": beta, "seed": seed}
            for n, beta, seed in (
                (10, 0.25, 1),
                (10_000, 0.25, 20),
                (100, 0.5, 1),
                (10, 4.0, 1),
                (10_000, 4.0, 20),
            )
        ],
    ),
    "rewards_read_back": ((), [{"beta": x} for x in (0.05, 0.5, 10.0)]),
    "shifted_rewards": ((), [{"shift": x} for x in (-3.0, 0.0, 3.0)]),
    "preferences_read": ((), [{"beta": x} for x in (0.05, 0.5, 5.0)]),
    "uncovered_answer": ((), [{"share": x} for x in (0.001, 0.3457, 0.9)]),
}
WORDS = {  # what the sentences say, computed by other means
    # 20 log10 50,000 = 20 · 4.69897
    "answer_counts": ({"length": 20.0}, "10^94.0 in one of 50,000 tokens"),
    # mpmath: 10 log Σ p e^{v/½} = 10.86749
    "partition_estimates": (
        {"n": 100, "beta": 0.5, "seed": 1},
        "reach log Z = 10.87.",
    ),
    "rewards_read_back": ({"beta": 0.5}, "lie 2.418 below the circles"),
    "shifted_rewards": ({"shift": 2.0}, "β log Z is 4.418 and B is worth 5.0"),
    "preferences_read": ({"beta": 0.25}, "B over E 0.852, in truth 0.971"),  # σ(1.75)
    "uncovered_answer": ({"share": 0.3457}, "the expected reward is 1.702"),
}
