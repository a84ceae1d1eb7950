"""Losses of TRL beside those of the course, on the same tokens, in float64.

Runs in an environment that holds TRL, started by test_conventions.py. What is called is
TRL's own code: `_compute_loss` of its DPO and KTO trainers, `get_batch_loss_metrics` of
CPO and ORPO. Only the model is ours: one that gives out fixed numbers, token log-probs
where TRL's fused head would, logits elsewhere, and gradients are those in them.
"""

import warnings
from collections import defaultdict
from functools import partial
from types import SimpleNamespace
from unittest import mock

import torch
from torch import Tensor

from course_lib import losses
from course_lib.logprobs import response_logprobs, token_logprobs

warnings.simplefilter("ignore")
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)  # EXO makes a tensor of ε in the default type

from trl import DPOTrainer, KTOTrainer  # noqa: E402  (after the two lines above)
from trl.experimental.cpo import CPOTrainer  # noqa: E402
from trl.experimental.orpo import ORPOTrainer  # noqa: E402

PAIRS, TIME, WORDS, BETA = 5, 12, 7, 0.3
EPSILON, WEIGHT, GAMMA = 0.1, 0.7, 0.4
RANDOM = torch.Generator().manual_seed(0)


def draw(*size: int) -> Tensor:
    return torch.randn(*size, generator=RANDOM)


def same(x: Tensor) -> Tensor:
    return x


def trainer(kind: type, **told):
    """An instance without the constructor, which wants a model, data and a folder."""
    made = object.__new__(kind)
    vars(made).update(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(
            device=torch.device("cpu"), gather=same, gather_for_metrics=same
        ),
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        beta=BETA,
        **told,
    )
    return made


# Chosen and rejected rows, prompts of two tokens, answers of 3 to 10, padding behind.
LENGTHS = torch.tensor([3, 10, 7, 4, 8, 5, 6, 10, 3, 9])
HERE = torch.arange(TIME)
MASK = ((HERE >= 2) & (2 + LENGTHS[:, None] > HERE)).long()  # (2 * pairs, time)
WHOLE = (2 + LENGTHS[:, None] > HERE).long()
IDS = torch.randint(1, WORDS, MASK.shape, generator=RANDOM) * WHOLE
TOKENS = -draw(*MASK[:, 1:].shape).abs()
LOGITS = draw(*MASK.shape, WORDS)
REF = (TOKENS * MASK[:, 1:]).sum(1) + 4 * draw(2 * PAIRS)
CHOSEN, REJECTED = LENGTHS.chunk(2)
LABELS = torch.tensor([True, False, True, True, False] * 2)
OTHERS = MASK.roll(1, 0), (TOKENS.roll(1, 0) * 0.9 + 0.3) * MASK[:, 1:].roll(1, 0)
REF_OTHERS = OTHERS[1].sum(1) - 0.2 - draw(2 * PAIRS).abs()


def scored(tokens: Tensor) -> SimpleNamespace:
    """What TRL's fused head returns, as far as it is used."""
    none = torch.zeros_like(tokens)
    return SimpleNamespace(
        log_probs=tokens, entropy=none, mean_logits=none, is_top1=none.bool()
    )


def trl_dpo(tokens: Tensor, kinds: list[str], weights: list[float], told, get=False):
    """The loss, or with `get` the trainer that remembers what it would log."""
    settings = {"label_smoothing": 0.0, "f_divergence_type": "reverse_kl"}
    ref_chosen, ref_rejected = REF.to(tokens.dtype).chunk(2)
    made = trainer(
        DPOTrainer,
        ld_alpha=None,
        use_weighting=False,
        loss_types=kinds,
        loss_weights=weights,
        **settings | told,
    )
    batch = {
        "input_ids": IDS,
        "attention_mask": WHOLE,
        "completion_mask": MASK,
        "ref_chosen_logps": ref_chosen,
        "ref_rejected_logps": ref_rejected,
    }
    mask = MASK[:, 1:].to(tokens.dtype)
    loss = made._compute_loss(lambda **_: scored(tokens * mask), batch, False)
    return made if get else loss


def four(tokens: Tensor) -> list[Tensor]:
    logps = (tokens * MASK[:, 1:].to(tokens.dtype)).sum(1)
    return [*logps.chunk(2), *REF.to(tokens.dtype).chunk(2)]


def chosen_nll(tokens: Tensor) -> Tensor:
    """The mean over all chosen tokens of the batch, for each pair."""
    return (-four(tokens)[0].sum() / CHOSEN.sum()).expand(PAIRS)


def trl_kto(tokens: Tensor, weights: tuple[float, float]) -> Tensor:
    made = trainer(
        KTOTrainer,
        calculate_KL=True,
        loss_type="kto",
        desirable_weight=weights[0],
        undesirable_weight=weights[1],
    )
    batch = {"input_ids": IDS, "attention_mask": WHOLE, "completion_mask": MASK}
    batch |= {f"KL_{name}": x.roll(1, 0) for name, x in batch.items()}
    batch |= {"label": LABELS, "ref_logps": REF, "ref_KL_logps": REF_OTHERS}

    def model(input_ids, **_):
        here = input_ids is batch["input_ids"]
        return scored(tokens * MASK[:, 1:] if here else OTHERS[1])

    return made._compute_loss(model, batch, False)


def our_kto(tokens: Tensor, weights: tuple[float, float]) -> Tensor:
    z = losses.kto_reference_point(OTHERS[1].sum(1), REF_OTHERS)
    assert z > 0.1
    logps = (tokens * MASK[:, 1:]).sum(1)
    pair = {"desirable_weight": weights[0], "undesirable_weight": weights[1]}
    return losses.kto_loss(logps, REF, LABELS, z, BETA, **pair)


def trl_free(kind: type, logits: Tensor, told: dict) -> Tensor:
    """CPO, SimPO or ORPO, from the logits."""
    settings = {"is_encoder_decoder": False, "pad_token_id": 0, "padding_value": 0}
    settings |= {"alpha": 0.0, "label_smoothing": 0.0, "simpo_gamma": GAMMA}
    made = trainer(kind, **settings | told)
    batch = {}
    for name, rows in (("chosen", slice(0, PAIRS)), ("rejected", slice(PAIRS, None))):
        batch[f"{name}_input_ids"] = IDS[rows]
        batch[f"{name}_attention_mask"] = WHOLE[rows]
        batch[f"{name}_labels"] = IDS[rows].masked_fill(MASK[rows] == 0, -100)
    model = lambda *_, **__: SimpleNamespace(logits=logits)  # noqa: E731
    # ORPO casts to float32 before its formula, which is what is compared
    with mock.patch.object(Tensor, "float", Tensor.double):
        return made.get_batch_loss_metrics(model, batch)[0]


def sums(logits: Tensor) -> tuple[Tensor, Tensor]:
    return response_logprobs(logits, IDS, MASK).chunk(2)


def averages(logits: Tensor) -> tuple[Tensor, Tensor]:
    return (response_logprobs(logits, IDS, MASK) / LENGTHS).chunk(2)


def nll(logits: Tensor, mask: Tensor) -> Tensor:
    """The mean over the batch's chosen tokens in `mask`, but for the first of a row."""
    mask = mask[:PAIRS] * (HERE > 0)
    tokens = token_logprobs(logits[:PAIRS], IDS[:PAIRS], mask)
    return -tokens.sum() / mask.sum()


def normalized(*given) -> Tensor:
    """The length-normalised loss; given: the four log-probs and β."""
    *logps, beta = given
    return losses.length_normalized_dpo_loss(*logps, CHOSEN, REJECTED, beta)


def f(name: str, **more) -> tuple:
    return losses.f_dpo_loss, {"divergence": name, **more}


LENGTHS_OF = {"chosen_lengths": CHOSEN, "rejected_lengths": REJECTED}
SMOOTH = {"label_smoothing": EPSILON}
SIMPO = {"loss_type": "simpo", "cpo_alpha": 0.0}
DPO = {  # TRL's names of the losses, what else it is told; ours, what else it is told
    "sigmoid": ("sigmoid", {}, losses.dpo_loss, {}),
    "sigmoid, label_smoothing": ("sigmoid", SMOOTH, losses.dpo_loss, {}),
    "robust": ("robust", SMOOTH, losses.robust_dpo_loss, SMOOTH),
    "ipo": ("ipo", {}, losses.ipo_loss, LENGTHS_OF),
    "hinge": ("hinge", {}, losses.hinge_loss, {}),
    "sigmoid_norm": ("sigmoid_norm", {}, normalized, {}),
    "exo_pair": ("exo_pair", SMOOTH, losses.exo_loss, SMOOTH),
    "nca_pair": ("nca_pair", {}, losses.nca_loss, {}),
    "bco_pair": ("bco_pair", {}, losses.bco_loss, {}),
    "apo_zero": ("apo_zero", {}, losses.apo_zero_loss, {}),
    "apo_down": ("apo_down", {}, losses.apo_down_loss, {}),
    "sppo_hard": ("sppo_hard", {}, losses.sppo_loss, {}),
    "forward_kl": ("sigmoid", {"f_divergence_type": "forward_kl"}, *f("forward_kl")),
    "js_divergence": ("sigmoid", {"f_divergence_type": "js_divergence"}, *f("js")),
    "alpha_divergence": (
        "sigmoid",
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.75},
        *f("alpha", alpha=0.25),
    ),
}
FREE = {  # TRL's trainer, what it is told; ours, of the logits
    "cpo": (
        CPOTrainer,
        {"loss_type": "sigmoid", "cpo_alpha": WEIGHT},
        lambda x: losses.cpo_loss(*sums(x), nll(x, MASK), BETA, weight=WEIGHT),
    ),
    "simpo": (
        CPOTrainer,
        SIMPO,
        lambda x: losses.simpo_loss(*averages(x), BETA, GAMMA),
    ),
    "simpo, cpo_alpha 1": (
        CPOTrainer,
        SIMPO | {"cpo_alpha": 1.0},
        lambda x: losses.simpo_loss(*averages(x), BETA, GAMMA) + nll(x, MASK),
    ),
    "alphapo": (
        CPOTrainer,
        SIMPO | {"alpha": 0.25},
        lambda x: losses.simpo_loss(*averages(x), BETA, GAMMA, alpha=0.25),
    ),
    "cpo, label_smoothing": (
        CPOTrainer,
        {"loss_type": "sigmoid", "cpo_alpha": 0.0, **SMOOTH},
        lambda x: losses.dpo_loss(*sums(x), *torch.zeros(2, PAIRS), BETA, **SMOOTH),
    ),
    "orpo": (
        ORPOTrainer,
        {},
        lambda x: losses.orpo_loss(*averages(x), nll(x, WHOLE), weight=BETA),
    ),
}


def same_losses() -> dict:
    """By name: TRL's loss, ours, and what both are of."""
    cases = {}
    for name, (kind, told, loss, more) in DPO.items():
        cases[name] = (
            lambda x, kind=kind, told=told: trl_dpo(x, [kind], [1.0], told),
            lambda x, loss=loss, more=more: loss(*four(x), BETA, **more),
            TOKENS,
        )
    cases["sigmoid + sft"] = (
        lambda x: trl_dpo(x, ["sigmoid", "sft"], [1.0, WEIGHT], {}),
        lambda x: losses.dpo_nll_loss(*four(x), chosen_nll(x), BETA, weight=WEIGHT),
        TOKENS,
    )
    for name, weights in {"kto": (1.0, 1.0), "kto, weighted": (1.5, 0.5)}.items():
        both = (partial(loss, weights=weights) for loss in (trl_kto, our_kto))
        cases[name] = *both, TOKENS
    for name, (kind, told, loss) in FREE.items():
        cases[name] = partial(trl_free, kind, told=told), loss, LOGITS
    return cases


def other_losses() -> dict:
    """TRL's losses beside ours by another convention: how much is at stake."""
    return {
        "ipo, sums": (
            lambda x: trl_dpo(x, ["ipo"], [1.0], {}),
            lambda x: losses.ipo_loss(*four(x), BETA),
            TOKENS,
        ),
        "simpo, ratio": (
            partial(trl_free, CPOTrainer, told=SIMPO),
            lambda x: losses.simpo_loss(*averages(x), BETA, GAMMA, gamma_is_ratio=True),
            LOGITS,
        ),
        "orpo, answer": (
            partial(trl_free, ORPOTrainer, told={}),
            lambda x: losses.orpo_loss(*averages(x), nll(x, MASK), weight=BETA),
            LOGITS,
        ),
        "label_smoothing, cDPO": (
            lambda x: trl_dpo(x, ["sigmoid"], [1.0], SMOOTH),
            lambda x: losses.dpo_loss(*four(x), BETA, **SMOOTH),
            TOKENS,
        ),
    }


def logged(tokens: Tensor, kind: str) -> dict[str, float]:
    """What TRL writes down about a batch, the last part of the names."""
    made = trl_dpo(tokens, [kind], [1.0], {}, get=True)
    told = made._metrics["train"]
    return {name: told[f"rewards/{name}"][0] for name in ("margins", "accuracies")}


def certain() -> list[bool]:
    """Is the slope of ORPO's log(1 − p) a number where p is 1 in float32? TRL's, ours.

    In float64, where nothing is rounded to 1, both are.
    """
    finite = []
    for loss in (trl_odds, our_odds):
        average = torch.tensor([-1e-8, -1.0], dtype=torch.float32, requires_grad=True)
        loss(average).backward()
        finite.append(average.grad.isfinite().all().item())
    return finite


def trl_odds(average: Tensor) -> Tensor:
    return -trainer(ORPOTrainer).odds_ratio_loss(*average[:, None])[0].sum()


def our_odds(average: Tensor) -> Tensor:
    return losses.orpo_loss(*average[:, None], average[:1] * 0, weight=BETA)


def differences(trl, ours, inputs: Tensor) -> dict[str, float]:
    """Between the values, and the largest between slopes."""
    found = []
    for loss in (trl, ours):
        leaf = inputs.clone().requires_grad_()
        value = loss(leaf)
        value.backward()
        found.append((value.detach(), leaf.grad))
    (value, slopes), (our_value, our_slopes) = found
    return {
        "value": (value - our_value).abs().item(),
        "slope": (slopes - our_slopes).abs().max().item(),
        "size": our_slopes.abs().max().item(),
    }


def compare() -> dict:
    """By name of the loss, the largest differences; and what else TRL is asked."""
    same = {}
    for name, (trl, ours, inputs) in same_losses().items():
        try:
            same[name] = differences(trl, ours, inputs)
        except KeyError:  # TRL has no clamp for float64 there
            same[f"{name}, float32"] = differences(trl, ours, inputs.float())
    u, v = ((four(TOKENS)[k] - four(TOKENS)[k + 2]).mean() for k in (0, 1))
    return {
        "same": same,
        "apart": {name: differences(*three) for name, three in other_losses().items()},
        "logged": {kind: logged(TOKENS, kind) for kind in ("sigmoid", "ipo")},
        "margin": (BETA * (u - v)).item(),
        "certain": certain(),
    }
