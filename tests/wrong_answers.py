"""Wrong answers as learners write them, which no fault, slip or check was made from."""

import math

import torch
import torch.nn.functional as F


def _share(weights):
    return weights / weights.sum(-1, keepdim=True)


def _gathered(logits, labels):
    return logits[:, :-1].log_softmax(-1).gather(-1, labels[:, 1:, None]).squeeze(-1)


def _until_end(logits, labels, mask):
    ended = ((labels == 1) & (mask == 1)).int().argmax(-1)
    kept = mask * (torch.arange(labels.shape[1]) <= ended[:, None])
    return (_gathered(logits, labels) * kept[:, 1:]).sum(-1)


def _log_odds_of_means(a, b, nll, weight):
    odds = (a.mean() - b.mean()) - (
        torch.log1p(-a.exp()) - torch.log1p(-b.exp())
    ).mean()
    return nll.mean() - weight * F.logsigmoid(odds)


def _numeric(f, x, h=1e-4):
    return (f(x + h) - f(x - h)) / (2 * h)


def _multiplied(wins, rounds):
    """The MM algorithm, broken off."""
    wins, strengths = wins.double(), torch.ones(len(wins)).double()
    for _ in range(rounds):
        shares = (wins + wins.T) / (strengths[:, None] + strengths)
        strengths = wins.sum(1) / shares.sum(1)
    return (strengths / strengths[0]).log()


def _best_of(h, betas):
    pushes = betas[:, None] * torch.sigmoid(-betas[:, None] * h.flatten())
    return betas[pushes.argmax(0)].view(h.shape)


def _newton(h):
    """From 1 on, which is far from the top where the gap is large."""
    beta = torch.ones_like(h)
    for _ in range(50):
        s, t = torch.sigmoid(beta * h), torch.sigmoid(-beta * h)
        rise = 1 - beta * h * s
        beta = beta - rise / (-h * s * (1 + rise + beta * h * t))
    return beta


def _listed(ref, rewards, kl):
    betas, ref = torch.linspace(0.01, 10, 1000), ref.log()
    tilted = (ref + rewards / betas[:, None]).log_softmax(-1)
    spent = (tilted.exp() * (tilted - ref)).sum(-1)
    return betas[(spent - kl).abs().argmin()].item()


def _risen(h, steps=200):
    beta = torch.full_like(h, 0.5)
    for _ in range(steps):
        t = torch.sigmoid(-beta * h)
        beta = beta + 0.1 * t * (1 - beta * h * (1 - t))
    return beta


def _climbed(wins, steps=30):
    wins = wins.double()
    games, scores = wins + wins.T, torch.zeros(len(wins)).double()
    for _ in range(steps):
        expected = (games * torch.sigmoid(scores[:, None] - scores)).sum(1)
        scores = scores + (wins.sum(1) - expected) / games.sum(1).max()
    return scores - scores[0]


def _bisected(ref, rewards, kl, steps=8):
    low, high = 1e-3, 1e3
    for _ in range(steps):
        beta = (low * high) ** 0.5
        policy = torch.softmax(ref.log() + rewards / beta, -1)
        more = float((policy * (policy / ref).log()).sum()) > kl
        low, high = (beta, high) if more else (low, beta)
    return beta


def _close_is_equal(ref, rewards, n):
    level = torch.isclose(rewards[None], rewards[:, None])
    below = ((rewards[None] < rewards[:, None]) & ~level).to(ref) @ ref
    size = level.to(ref) @ ref
    return ref / size * ((below + size) ** n - below**n)


def _one_batch_dimension(scores, ranking):
    if scores.dim() == 1:
        s = scores[ranking]
    else:
        s = torch.stack([a[r] for a, r in zip(scores, ranking, strict=True)])
    return (s - s.flip(-1).logcumsumexp(-1).flip(-1)).sum(-1)


def _standardised(logps, old, adv, clip=0.2):
    adv = (adv - adv.mean()) / (adv.std(correction=0) + 1e-8)
    ratio = (logps - old).exp()
    return -torch.min(ratio * adv, ratio.clamp(1 - clip, 1 + clip) * adv).mean()


def _up_to(gap, high=10.0):
    low, high = torch.zeros_like(gap), torch.full_like(gap, high)
    for _ in range(100):
        m = (low + high) / 2
        rises = 1 - m * gap * torch.sigmoid(m * gap) > 0
        low, high = torch.where(rises, m, low), torch.where(rises, high, m)
    return low


WRONG = {
    "preference_probability": [
        lambda w, v: torch.clamp(torch.sigmoid(w - v), 1e-6, 1 - 1e-6)
    ],
    "fit_bradley_terry": [
        _climbed,
        lambda wins: _multiplied(wins, 5),
        lambda wins: _multiplied(wins, 20),
    ],
    "plackett_luce_log_prob": [_one_batch_dimension],
    "kl_divergence": [
        lambda p, q: (p * (p / q).log2()).sum(-1),
        lambda p, q: F.kl_div(q.log(), p, reduction="batchmean"),
        lambda p, q: F.kl_div(q.log(), p, reduction="sum"),
        lambda p, q: (p * (p.log() - q.log())).mean(-1),
        lambda p, q: (p * ((p + 1e-8) / (q + 1e-8)).log()).sum(-1),
    ],
    "rlhf_objective": [
        lambda p, ref, r, b: (p * r).sum(-1) - b * (ref * (ref / p).log()).sum(-1),
        lambda p, ref, r, b: (p * r).mean(-1) - b * (p * (p / ref).log()).mean(-1),
        lambda p, ref, r, b: (p * r).sum(-1) + b * (p * (p / ref).log()).sum(-1),
    ],
    "optimal_policy": [
        lambda ref, r, b: torch.softmax(ref.log() + r / b, 0),
        lambda ref, r, b: _share((ref.log() + r / b - (ref.log() + r / b).max()).exp()),
        lambda ref, r, b: _share(ref * (r / b).clamp(max=50).exp()),
    ],
    "log_partition": [lambda ref, r, b: (ref.log() + r / b).exp().mean(-1).log()],
    "best_of_n": [_close_is_equal],
    "implicit_rewards": [lambda p, ref, b: b * (p.log2() - ref.log2())],
    "canonical_rewards": [lambda ref, r, b: r - r.max(-1, keepdim=True).values],
    "dpo_loss": [
        lambda a, b, c, d, beta: (
            -torch.sigmoid(beta * ((a - c) - (b - d))).mean().log()
        ),
        lambda a, b, c, d, beta: -F.logsigmoid(beta * ((a - d) - (b - c))).mean(),
        lambda a, b, c, d, beta: -F.logsigmoid(beta * ((a - b) + (c - d))).mean(),
        lambda a, b, c, d, beta: (
            -F.logsigmoid((beta * ((a - c) - (b - d))).clamp(-50, 50)).mean()
        ),
        lambda a, b, c, d, beta: (
            -(torch.sigmoid(beta * ((a - c) - (b - d))) + 1e-8).log().mean()
        ),
        lambda a, b, c, d, beta: -F.logsigmoid(((a - c) - (b - d)) / beta).mean(),
        lambda a, b, c, d, beta: torch.tensor(
            [-F.logsigmoid(beta * ((a - c) - (b - d))).mean()]
        ),
    ],
    "dpo_gradients": [
        lambda a, b, c, d, beta: torch.stack(
            [-torch.sigmoid(-beta * (a - b)), torch.sigmoid(-beta * (a - b))], -1
        ),
        lambda a, b, c, d, beta: torch.stack(
            [
                _numeric(lambda x: -F.logsigmoid(beta * (x - c - b + d)), a),
                _numeric(lambda x: -F.logsigmoid(beta * (a - c - x + d)), b),
            ],
            -1,
        ),
    ],
    "implicit_reward_accuracy": [lambda a, b, c, d: ((a - c) > (b - d)).sum() / len(a)],
    "response_logprobs": [_until_end],
    "dpo_slope": [
        lambda h, beta: _numeric(lambda x: F.logsigmoid(beta * x), h),
        lambda h, beta: beta * (1 - torch.sigmoid(beta * h)).round(decimals=4),
    ],
    "steepest_beta": [
        lambda h: 1.2785 / h,
        lambda h: 1.2785 * h,
        _newton,
        _risen,
        lambda h: _best_of(h, torch.linspace(0.01, 10, 1000).to(h)),
        lambda h: _best_of(h, torch.linspace(0.001, 5, 5000).to(h)),
        _up_to,
    ],
    "beta_for_kl": [_bisected, _listed],
    "smoothed_optimal_gap": [lambda e, beta: torch.log2((1 - e) / e) / beta],
    "ipo_loss": [
        lambda a, b, c, d, tau, chosen_lengths=None, rejected_lengths=None: (
            -F.logsigmoid(tau * ((a - c) - (b - d))).mean()
        )
    ],
    "orpo_loss": [
        _log_odds_of_means,
        lambda a, b, nll, weight: (
            nll
            - weight
            * F.logsigmoid(
                a - b - (1 - a.exp() + 1e-10).log() + (1 - b.exp() + 1e-10).log()
            )
        ).mean(),
    ],
    "sum_by_owner": [
        lambda values, owners, count: torch.zeros(count).index_add(0, owners, values)
    ],
    "clipped_policy_loss": [_standardised],
    "reward_model_loss": [lambda w, v: math.log(2) - (w - v).mean() / 2],
    "least_loss": [lambda m, a: a * F.softplus(-m / a)],
    "beta_from_moves": [
        lambda rewards, logps: (rewards / logps).mean(),
        lambda rewards, logps: (rewards.diff() / logps.diff()).nanmean(),
        lambda rewards, logps: (
            (rewards[:, -1] - rewards[:, 0]) / (logps[:, -1] - logps[:, 0])
        ).mean(),
    ],
    "wilson_interval": [
        lambda p, n, z: torch.stack(
            [p - z * 0.5 / n.sqrt(), p + z * 0.5 / n.sqrt()], -1
        ).clamp(0, 1)
    ],
}
