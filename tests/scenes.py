"""Every figure of the course, with arguments and values to draw it for."""

from typing import Any

import torch

from course_lib.datasets import InstructRun, shipped_failures, shipped_runs
from course_lib.limits.displacement import pair_geometry, softmax_scores
from course_lib.plots.coverage import Reached
from course_lib.reviews import shipped_outcomes
from course_lib.tabular import train_tabular
from course_lib.training import Log
from course_lib.transformer import load
from course_lib.worlds import World, five_responses, world_s


def along(**sliders) -> list[dict[str, Any]]:
    """The first value of every slider, then the second of every one, and so on."""
    columns = sliders.values()
    return [dict(zip(sliders, v, strict=True)) for v in zip(*columns, strict=True)]


HOW_TO_ADD = """{name} is drawn by no test. In tests/scenes.py, add to SCENES
    "{name}": along({sliders}),
and to SAID some values and what its sentence then says, found by other means
than the figure's; if it stands still, add to STILLS "{name}": [{{}}]."""

FIVE = five_responses()
SCORES = torch.tensor([0.0, 1.1, 0.7], dtype=torch.float64)
WINS = torch.tensor([[0.0, 2, 3], [5, 0, 4], [4, 3, 0]])
HISTORY = torch.tensor([[0.5, 0.4, 0.1], [0.3, 0.3, 0.4], [0.1, 0.0, 0.9]])
FALLING = torch.tensor([0.5, 0.05]), torch.tensor([1.0, 0.125])
VARIANTS, RUNS = shipped_runs("variants"), shipped_runs("frontier")
FRONTIER = [run for run in RUNS if run.experiment == "frontier"]
LIMITS = [run for run in RUNS if run.experiment == "limits"]
WORLD = world_s().exact(load("S"))
PLANTED = shipped_failures()
HEALTHY = [run for run in PLANTED if run.name.startswith("healthy")]
FILM = WORLD.ref[0].double(), WORLD.rewards[0].double()
TALK = (
    "<start> user ⏎ How ·was ·the ·film ? <end> ⏎ <start> ass istant ⏎",
    "Very ·good , ·but ·far ·too ·long . <end>",
    "Very ·good , ·but ·the ·end ·is ·weak . <end>",
)
CROWD = (
    torch.tensor([[2, 0, -2], [-3, 2, 0]]).double(),
    torch.tensor([3, 2]).double() / 5,
)
CIRCLE = torch.tensor([[5, 2, 8], [8, 5, 2], [2, 8, 5]]).double() / 10
ROCKY = torch.tensor([[6, 2, 2], [2, 6, 2], [1, 1, 8]]).double() / 10
R_OF_THREE = torch.tensor([1.5, 1, -1], dtype=torch.float64)
REACHED = [
    torch.tensor([[[9, a], [7, b]], [[5, 1], [4, 0.5]]]) for a, b in ((4, 2), (1, 3))
]
BETAS = (0.05, 1.0)
ODD = torch.tensor([[1.0, 0.0], [0.8, -0.6], [0.9, 2.0]], dtype=torch.float64)
CLOUDS = {
    name: pair_geometry(scores, torch.tensor([0, 0, 1]), torch.tensor([1, 2, 0]))
    for name, scores in (
        ("a table", softmax_scores(torch.eye(3).double(), SCORES.softmax(0))),
        (
            "a shared vector",
            softmax_scores(ODD, torch.tensor([0.497, 0.368, 0.135]).double()),
        ),
    )
}
PATHS = {
    name: train_tabular(FIVE, BETAS, optimiser=name, lr=rate, steps=(1, 10, 100))
    for name, rate in (("SGD", 3.0), ("Adam", 0.05))
}
STEPS = torch.arange(40.0)
CURVES = {
    "loss": (0.7 - STEPS / 100).tolist(),
    "chosen_logratio": (-STEPS / 40).tolist(),
    "rejected_logratio": (-STEPS / 10).tolist(),
    "accuracy": (0.5 + STEPS / 100).tolist(),
}
LOG = Log(None, CURVES, [])
SPOKEN = [
    InstructRun(
        "you", method, b, 0.1, 0, 9, (r, r - 0.1, r + 0.1), (k, k, k), *[1.0] * 4
    )
    for method, b, r, k in (
        ("before", 0.0, 0.6, 0.0),
        *(("best_of_n", 2.0, 0.9, 0.19), ("best_of_n", 4.0, 1.2, 0.64)),
        ("dpo", 0.1, 1.5, 2.2),
    )
]
NAMES = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected", "beta")


def pair(*numbers: float) -> dict[str, float]:
    return dict(zip(NAMES, numbers, strict=True))


# name: keyword arguments of the function that makes it, once or more
STILLS = {
    "strengths": [
        {"names": ["a", "b", "c"], "scores": SCORES, "errors": SCORES / 3},
        {"names": ["a", "b", "c"], "scores": SCORES, "published": [0.0, 1.0, 0.7]},
    ],
    "wins_predicted": [{"wins": WINS, "scores": SCORES}],
    "tradeoff_peaks": [{}, {"betas": (0.1, 1.0)}],
    "displacement": [{"history": HISTORY}],
    "paths": [{"runs": PATHS, "betas": BETAS}],
    "methods_on_frontier": [{"runs": FRONTIER}],
    "estimators_by_pairs": [{"world": WORLD, "runs": shipped_runs("estimators")}],
    "limits": [{"runs": LIMITS}],
    "blind_loss": [{"steps": (1, 10), "runs": {0.5: FALLING, 0.1: FALLING}}],
    "who_sees_whom": [{}, {"tokens": ("a", "b", "c", "d"), "parts": (0, 0, 1, 2)}],
    "reviews_outcomes": [{"outcomes": shipped_outcomes()}],
    "instruct_outcomes": [{"you": SPOKEN}, {"films": SPOKEN, "you": SPOKEN}],
    "accuracies": [{"runs": PLANTED, "called": ("healthy", "leaked", "swapped_sides")}],
}
# name: the values of its sliders, both ends and something between
JOB = {"tokens": (128, 512, 2048), "devices": (1, 8, 64)}
JOB |= {"model": ("SmolLM2 135M", "Llama 2 7B", "Llama 3 70B")}
SCENES = {
    "truncated_pair": along(
        max_length=(4, 18, 20, 24), keep=("keep_end", "keep_start") * 2
    ),
    "memory_of_a_job": along(
        **JOB,
        method=("full, reference resident", "LoRA", "LoRA on 4 bits"),
        pairs=(1, 1, 8),
        rank=(4, 16, 256),
        checkpointing=("off", "off", "on"),
    ),
    "memory_in_a_step": along(tokens=(64, 320, 1024)),
    "hours_of_a_job": along(
        **JOB, thousands=(10, 60, 300), epochs=(1, 2, 3), mfu=(0.6, 0.3, 0.1)
    ),
    "stages_in_class": along(angle=(-60.0, 0.0, 30.0, 75.0)),
    "drawn_by_whom": along(share=(0.02, 0.5, 0.9)),
    "reach_of_pairs": along(beta=(0.2, 1.0)),
    "paths_in_game": along(step=(0, 1, 2)),
    "leash": along(beta=(0.05, 0.1, 0.5, 5.0)),
    "choice_curve": along(difference=(-6.0, 0.0, 6.0)),
    "loss_curve": along(difference=(-6.0, 0.0, 6.0)),
    "noise_ceiling": along(scale=(0.0, 1.0, 8.0)),
    "rankings": along(a=(-3.0, 0.0, 3.0), b=(3.0, 0.0, -3.0), c=(0.5, 0.5, 0.5)),
    "poll": along(
        difference=(-3.0, 1.0, 3.0), people=(10, 1000, 100_000), town=(1,) * 3
    ),
    "magnitude_losses": along(magnitude=(0.0, 1.5, 3.0)),
    "uncertain_scores": along(std=(0.0, 2.5, 5.0)),
    "kl_both_ways": along(q=(0.05, 0.5, 0.95)),
    "objective_of_two": along(beta=(0.05, 0.5, 5.0)),
    "tilt_and_normalise": along(step=(0.0, 0.5, 1.0, 2.0)),
    "tilted_bars": along(beta=(0.05, 0.5, 100.0)),
    "one_answer": along(
        reward=(-2.0, 2.5, 8.0), share=(0.0, 0.15, 0.9), beta=(0.05, 0.5, 10.0)
    ),
    "frontier_curve": along(beta=(0.05, 0.5, 100.0)),
    "best_of_n_race": along(n=(1, 4, 32)),
    "answer_counts": along(length=(1.0, 20.0, 100.0)),
    "partition_estimates": along(
        n=(10, 10_000, 100, 10, 10_000),
        beta=(0.25, 0.25, 0.5, 4.0, 4.0),
        seed=(1, 20, 1, 1, 20),
    ),
    "rewards_read_back": along(beta=(0.05, 0.5, 10.0)),
    "shifted_rewards": along(shift=(-3.0, 0.0, 3.0)),
    "preferences_read": along(beta=(0.05, 0.5, 5.0)),
    "uncovered_answer": along(share=(0.001, 0.3457, 0.9)),
    "gap_curves": along(gap=(-10.0, 5.0, 40.0), beta=(0.5, 0.1, 0.02)),
    "four_numbers": [
        pair(-30, 0, 0, -30, 0.1),
        pair(-1, -3, -2, -2, 0.1),
        pair(0, -30, -30, 0, 1.0),
    ],
    "sick_runs": [{"bug": name} for name in ("swapped_pair", "reference_follows")]
    + [{"bug": name} for name in ("log_of_sigmoid", "sigmoid_plus_epsilon")],
    "counted_tokens": along(
        bug=("no_shift", "softmax_over_time", "averaged", "end_left_out")
    ),
    "pair_slopes": along(gap=(-10.0, 0.0, 3.0, 30.0)),
    "slope_against_beta": along(gap=(-10.0, 0.0, 8.0, 30.0)),
    "push_and_rest": along(beta=(0.02, 0.1, 1.0)),
    "destination": along(
        beta=(0.05, 1.0, 0.05, 1.0),
        optimiser=("SGD", "SGD", "SGD", "Adam"),
        step=(1, 20, 200, 200),
    ),
    "training_log": along(
        beta=(0.01, 1.0, 0.5, 5.0),
        lr=(0.01, 30.0, 0.05, 30.0),
        optimiser=("SGD", "SGD", "Adam", "Adam"),
        steps=(60, 600, 600, 1000),
        seed=(0, 3, 3, 19),
    ),
    "kl_budget": along(kl=(0.01, 0.5, 1.35)),
    "smoothed_loss": along(rate=(0.001, 0.1, 0.5)),
    "target_parabolas": along(tau=(0.1, 0.1, 0.25, 1.0, 1.0), tokens=(1, 10, 4, 1, 10)),
    "kto_curves": along(z=(0.0, 0.0, 1.0, 4.0, 4.0), beta=(0.1, 2.0, 0.5, 0.1, 2.0)),
    "loss_shapes": [
        *along(
            variant=("dpo", "ipo", "ipo", "hinge", "dpo_nll", "nca", "apo_zero"),
            beta=(0.05, 0.05, 2.0, 0.5, 0.5, 0.05, 0.5),
        ),
        *along(variant=("apo_down", "orpo", "cpo"), beta=(2.0, 0.5, 1.0)),
        *along(variant=("cdpo", "cdpo"), beta=(0.5, 0.5), epsilon=(0.01, 0.45)),
        *along(variant=("robust", "robust"), beta=(0.5, 0.5), epsilon=(0.01, 0.45)),
        *along(variant=("simpo", "simpo"), beta=(2.0, 2.0), gamma=(0.0, 2.0)),
    ],
    "variants_at_kl": along(kl=(0.1, 0.5, 1.5)),
    "variant_table": along(field=("distance", "reward", "kl", "rejected")),
    "decision_guide": [
        {},
        {"ask": "asked again"},
        {"noise": "20 % wrong", "length": "length is liked"},
        {"noise": "? % wrong"},
        {"reference": "no room for it"},
        {"data": "thumbs, single", "reference": "no room for it"},
    ],
    "rates_left_open": along(share=(0.0, 0.25, 0.6, 1.0)),
    "clipped_steps": along(ratio=(0.2, 1.0, 1.5, 2.0), clip=(0.1, 0.2, 0.4, 0.1)),
    "one_method": along(
        method=("dpo", "dpo", "simpo", "best_of_n", "sft"),
        beta=(0.05, 2.0, 0.5, 1.0, 0.05),
    ),
    "run_so_far": along(step=(20, 30, 40)),
    "least_losses": along(accuracy=(0.5, 0.7, 1.0)),
    "failing_runs": along(
        failure=(
            *("loss_summed", "trivial_pairs", "empty_mask", "hidden_nll"),
            *("beta_too_large", "beta_too_small", "wrong_reference", "end_left_out"),
        ),
    ),
    "kl_estimators": along(beta=(5.0, 0.5, 0.1), n=(10, 100, 10_000)),
    "prompts_to_tell": along(n=(30, 500, 10_000)),
    "token_credit": along(
        answer=("very bad", "(nothing)", "good good good", "not bad", "very bad"),
        beta=(0.5, 0.1, 0.1, 2.0, 2.0),
    ),
    "log_partition_curve": along(beta=(0.2, 0.5, 1.0, 5.0)),
    "phase_map": along(model=("a table", "a shared vector")),
    "mistaken_judge": along(
        errors=("normal", "normal", "heavy-tailed", "heavy-tailed"),
        size=(0.1, 1.0, 0.1, 1.0),
    ),
}
# name: arguments of the function that makes it
ARGUMENTS = {
    "truncated_pair": [text.split() for text in TALK],
    "stages_in_class": (
        World(("a", "b", "c"), torch.tensor([2, 3, 5]).double() / 10, R_OF_THREE),
        0.5,
    ),
    "drawn_by_whom": (*CROWD, 0.5),
    "reach_of_pairs": ((30, 1000), (0.2, 1.0), Reached(*REACHED), Reached(*REACHED)),
    "paths_in_game": (
        CIRCLE,
        torch.full((3,), 1 / 3, dtype=torch.float64),
        {"one way": ROCKY, "another": ROCKY.flip(0)[[2, 1, 0]].roll(1, 1)},
        ("rock", "paper", "scissors"),
    ),
    "leash": (WORLD,),
    "noise_ceiling": (SCORES,),
    "tilt_and_normalise": (FIVE, 2.0),
    "tilted_bars": (FIVE,),
    "one_answer": (FIVE, 3),
    "frontier_curve": (FIVE,),
    "best_of_n_race": (FIVE,),
    "destination": (BETAS, (1, 20, 200)),
    "variants_at_kl": (VARIANTS, WORLD),
    "variant_table": (VARIANTS,),
    "decision_guide": (VARIANTS,),
    "one_method": (WORLD, FRONTIER),
    "run_so_far": (LOG,),
    "least_losses": (HEALTHY,),
    "failing_runs": (WORLD, PLANTED),
    "kl_estimators": FILM,
    "token_credit": (world_s(), WORLD),
    "log_partition_curve": FILM,
    "phase_map": (CLOUDS,),
    "mistaken_judge": (WORLD,),
    "prompts_to_tell": (0.61, 0.57, 0.43),
}
# name: (values, what its sentence then says, found by other means than the figure's)
SAID = {
    # counted by hand: four of the tokens are the same in both answers
    "truncated_pair": (
        {"max_length": 18, "keep": "keep_start"},
        "4 of its 9 tokens and 4 of the 10 of the rejected one. The two answers are",
    ),
    # by hand: 18 N is 121.29 GB, and the last gradients need a block
    "memory_of_a_job": (
        {
            **{"model": "Llama 2 7B", "method": "full, reference resident"},
            **{"tokens": 128, "pairs": 1, "rank": 16, "checkpointing": "on"},
            "devices": 1,
        },
        "128 tokens, on 1 device: at most 121\u202fGB at once on each. It fits no",
    ),
    # by hand: 30 blocks, 3,538,944 weights of 2 bytes in each; and 1/30 of what is kept
    "memory_in_a_step": ({"tokens": 64}, "holds at most 0.214 GB of both"),
    # by hand: 8 N operations a token, N being 6.607e9 without the embedding
    "hours_of_a_job": (
        {
            **{"model": "Llama 2 7B", "thousands": 60, "tokens": 128, "epochs": 1},
            **{"devices": 8, "mfu": 0.3},
        },
        "each answer of 128 tokens, 1 epoch on 8 devices at 30\u202f%",
    ),
    # by hand: ½ log Σ π_ref e^{2r} = 0.9204, less the reference's own 0.1
    "stages_in_class": (
        {"angle": 0.0},
        "one stage ends 0.000 below the best J, and two stages 0.000. The reference is "
        "0.820 below",
    ),
    # by gradient ascent in plain numbers
    "drawn_by_whom": (
        {"share": 0.5},
        "the reward of gentle is +0.559 above that of blunt: DPO gives gentle most, 72",
    ),
    # by hand: means of 4 and 2, and of 1 and 3
    "reach_of_pairs": (
        {"beta": 0.2},
        "leave 3 (2 to 4) nats, and pairs of its own 2 (1 to 3)",
    ),
    # by hand: paper wins 8 · 0.6 + 5 · 0.2 + 2 · 0.2 of ten games
    "paths_in_game": ({"step": 0}, "more than half of the games by one way 0.120"),
    # by the loop over all sentences in test_style
    "leash": (
        {"beta": 0.1},
        "57\u202f% are babble. The mean reward is 2.25 (reference: −0.29), and the KL",
    ),
    # by hand
    "choice_curve": ({"difference": 2.0}, "+2.0 wins 88.1\u202f% of the time"),
    "loss_curve": ({"difference": 0.0}, "at 0.693 nats with slope −0.500"),
    "noise_ceiling": ({"scale": 0.0}, "more than 50.0\u202f% of"),
    "rankings": ({"a": 1.0, "b": 1.0, "c": 1.0}, "C > B > A 0.167"),
    "poll": ({"difference": 0.0, "people": 100, "town": 1}, "standard errors of 0.050"),
    "magnitude_losses": ({"magnitude": 2.0}, "2.13 with the curve moved right"),
    "uncertain_scores": ({"std": 2.0}, "wins 77.5\u202f% of the time"),
    # by mpmath, by hand, and by a loop over all draws
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
    # 20 log10 50,000 = 20 · 4.69897
    "answer_counts": ({"length": 20.0}, "10^94.0 in one of 50\u202f000 tokens"),
    # mpmath: 10 log Σ p e^{v/½} = 10.86749
    "partition_estimates": ({"n": 100, "beta": 0.5, "seed": 1}, "reach log Z = 10.87."),
    "rewards_read_back": ({"beta": 0.5}, "lie 2.418 below the diamonds"),
    "shifted_rewards": ({"shift": 2.0}, "β log Z is 4.418 and B is worth 5.0"),
    "preferences_read": ({"beta": 0.25}, "B over E 0.852, in truth 0.971"),  # σ(1.75)
    "uncovered_answer": ({"share": 0.3457}, "the expected reward is 1.702"),
    # by hand: log(1 + e^-0.2) = 0.5981, σ(-0.2) = 0.4502; log(1 + e) = 1.313
    "gap_curves": ({"gap": -10.0, "beta": 0.1}, "costs 1.313 nats"),
    "four_numbers": (
        pair(-1, -3, -2, -2, 0.1),
        "loss is 0.5981; a nat more for the chosen",
    ),
    "sick_runs": ({"bug": "sigmoid_plus_epsilon"}, "it says 18.42 (sound: 2500)"),
    "counted_tokens": ({"bug": "prompt_counted"}, "positions 1, 2, 3, 4, 5; the sound"),
    # by hand or in the facts of the world
    "pair_slopes": ({"gap": 3.0}, "0.0049, 0.0426, 0.0912, 0.0474 for β"),
    "slope_against_beta": ({"gap": 10.0}, "β = 0.128, gives a push of 0.0278"),
    "push_and_rest": ({"beta": 0.1}, "begins at 0.030 and comes to rest at h = 13.86"),
    "destination": (
        {"beta": 1.0, "optimiser": "SGD", "step": 200},
        "KL 0.4691 of 0.4691 nats at the destination; 1 of the 1 other β",
    ),
    "training_log": (
        {"beta": 0.5, "lr": 1.0, "optimiser": "SGD", "steps": 60, "seed": 0},
        "60 steps of SGD, lr 1, β = 0.5: loss 0.693 to",
    ),
    "kl_budget": ({"kl": 0.8935}, "asks for β = 0.500"),
    "smoothed_loss": ({"rate": 0.1}, "gap of 21.97 nats, where the loss is 0.3251"),
    "target_parabolas": (  # 1/(2 · 0.25) nats, and four times as much
        {"tau": 0.25, "tokens": 4},
        "lowest at a gap of 2 nats, and the loss from averages, for answers of length "
        "4, at 8 nats",
    ),
    "kto_curves": (  # σ(4) = 1/(1 + e^−4) = 0.98201, ½ σ(4) (1 − σ(4)), ½ σ(4)
        {"z": 1.0, "beta": 0.5},
        "loses 0.982 and is pushed up by 0.0088 a nat; by −log σ it would be 0.4910",
    ),
    "loss_shapes": (  # ln 4 / 0.5; the entropy of a coin of 0.2; 0.5 (0.8 − 0.5)
        {"variant": "cdpo", "beta": 0.5, "epsilon": 0.2},
        "lowest, 0.500, at h = 2.77 nats, and pulled back beyond. At h = 0 it pushes "
        "with 0.150 a nat, DPO with 0.250",
    ),
    "variant_table": (  # the least of the means that the runs' lines add up to
        {"field": "distance"},
        "20 % noise: NCA 0.34 (ties: 5); long is liked: DPO + NLL 0.25 (ties: 1)",
    ),
    "variants_at_kl": (  # as the table in the lesson, which reads the runs by itself
        {"kl": 0.5},
        "At 0.50 nats π* earns 0.68. clean: DPO + NLL 0.62, a tie with NCA",
    ),
    "decision_guide": (  # no reference and no pairs: by hand, from what either needs
        {"data": "thumbs, single", "reference": "no room for it"},
        "One other answer is enough: “pairs” or “thumbs, matched” or “right reference”",
    ),
    "rates_left_open": (  # by hand: n/(n + 1.96²) to 1
        {"share": 1.0},
        "10 comparisons leave 72.2 % to 100.0 % open, 100 leave 96.3 % to 100.0 %",
    ),
    "clipped_steps": (  # by hand: −min(1.5, 1.2) for A = 1, −min(−1.5, −1.2) for A = −1
        {"ratio": 1.5, "clip": 0.2},
        "the loss is −1.200 and flat for A = 1, 1.500 and sloped for A = −1",
    ),
    # a run of the exact loss comes to the same optimum; means of tens by hand
    "one_method": (
        {"method": "dpo", "beta": 0.5},
        "reward 0.81 for 0.72 nats, slope β. DPO at β = 0.5 leaves 0.14 of reward",
    ),
    "run_so_far": (
        {"step": 40},
        "By step 40: loss 0.355, accuracy 0.84; log-ratio of chosen responses −0.86",
    ),
    # by hand: ½ log(1 + e^−2) + ½ ln 2; 4 ln 2; 1.96 √((p + q − 2 both − (p − q)²)/100)
    "least_losses": ({"accuracy": 0.5}, "mean margin of 1, the loss is at least 0.410"),
    "failing_runs": (
        {"failure": "loss_summed"},
        "loss summed: loss in the first row 2.77; healthy: 0.693. It shows",
    ),
    "prompts_to_tell": (
        {"n": 100},
        "give or take 11.1 on the same prompts and 13.6 on prompts of their own",
    ),
    # as the leash says, which was found by a loop over all answers
    "kl_estimators": ({"beta": 0.1, "n": 100}, "At β = 0.1 the KL is 9.40 nats"),
    # β log Z by the sum over all answers in test_style, here 0.79 nats for 0.89:
    # 0.89 − 0.5 · 0.79 = 0.50; and the reward by its rule: 1.4 · −1 − 2 · 0.15
    "token_credit": (
        {"answer": "very bad", "beta": 0.5},
        "from β log Z = 0.50 to its reward −1.70",
    ),
    "log_partition_curve": (
        {"beta": 0.5},
        "its slope is the reward 0.89, its tangent starts at −KL = −0.79",
    ),
    # by hand: the mean row is (0.9129, 0.0492); (0.2, 0.6) · (0.0871, −0.0492) < 0
    "phase_map": (
        {"model": "a shared vector"},
        "lowers its own chosen answer in 1 of 3 pairs",
    ),
    # without errors the limit: the exact frontier of World S at 4 nats
    "mistaken_judge": ({"errors": "normal", "size": 0.1}, "the limit is 1.50"),
}
