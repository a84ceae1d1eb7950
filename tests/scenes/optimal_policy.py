"""Chapter 02."""

from course_lib.worlds import five_responses

WORLD = five_responses()

STILL = {"tradeoff_peaks": [{}, {"betas": (0.1, 1.0)}]}
SCENES = {
    "kl_both_ways": ((), [{"q": x} for x in (0.05, 0.5, 0.95)]),
    "objective_of_two": ((), [{"beta": x} for x in (0.05, 0.5, 5.0)]),
    "tilt_and_normalise": ((WORLD, 2.0), [{"step": x} for x in (0.0, 0.5, 1.0, 2.0)]),
    "tilted_bars": ((WORLD,), [{"beta": x} for x in (0.05, 0.5, 100.0)]),
    "one_answer": (
        (WORLD, 3),
        [
            {"reward": r, "share": s, "beta": b}
            for r, s, b in ((-2.0, 0.0, 0.05), (2.5, 0.15, 0.5), (8.0, 0.9, 10.0))
        ],
    ),
    "frontier_curve": ((WORLD,), [{"beta": x} for x in (0.05, 0.5, 100.0)]),
    "best_of_n_race": ((WORLD,), [{"n": x} for x in (1, 4, 32)]),
}
WORDS = {  # by mpmath, by hand, and by a loop over all draws
    "kl_both_ways": ({"q": 0.5}, "KL(p‖q) is 0.368 nats and KL(q‖p) is 0.511"),
    "objective_of_two": ({"beta": 1.0}, "chance 0.405; tilting and normalising"),
    "tilt_and_normalise": ({"step": 1.0}, "Together they weigh 2.473."),
    "tilted_bars": ({"beta": 0.5}, "β log Z = 2.418. Gaining mass: B, D."),
    "one_answer": (
        {"reward": 2.5, "share": 0.15, "beta": 0.5},
        "D goes from 0.150 to 0.177",
    ),
    "frontier_curve": ({"beta": 0.5}, "meets the left edge at J = 2.4178"),
    "best_of_n_race": ({"n": 4}, "earns 2.6432 and spends 0.5924 nats"),
}
