"""Wrong answers as learners write them, which no fault, slip or check was made from."""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F


def _share(weights):
    return weights / weights.sum(-1, keepdim=True)


def _gathered(logits, labels):
    return logits[:, :-1].log_softmax(-1).gather(-1, labels[:, 1:, None]).squeeze(-1)


def _until_end(logits, labels, mask):
    ended = ((labels == 1) & (mask == 1)).int().argmax(-1)
    kept = mask * (torch.arange(labels.shape[1]) <= ended[:, None])
    return (_gathered(logits, labels) * kept[:, 1:]).sum(-1)


def _product(logits, labels, mask):
    chances = _gathered(logits, labels).exp()
    return torch.where(mask[:, 1:] == 1, chances, 1.0).prod(-1).log()


def _log_odds_of_means(a, b, nll, weight):
    odds = (a.mean() - b.mean()) - (
        torch.log1p(-a.exp()) - torch.log1p(-b.exp())
    ).mean()
    return nll.mean() - weight * F.logsigmoid(odds)


def _one_merged_token(prompt, lengths, whole, end):
    rows, last = torch.arange(len(whole)), lengths - 1
    start = lengths - (whole[rows, last] != prompt[rows, last]).long()
    response = torch.arange(whole.shape[1]) >= start[:, None]
    ends = ((whole == end) & response).long()
    return (response & (ends.cumsum(1) - ends == 0)).long()


def _to_come(rewards, credit):
    return rewards[:, None] - credit.flip(-1).cumsum(-1).flip(-1)


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


def _informed(weigh, invert):
    def errors(scores, games):
        p = torch.sigmoid(scores[:, None] - scores)
        weight = games * weigh(p)
        information = torch.diag(weight.sum(1)) - weight
        return invert(information)

    return errors


WRONG = {
    "preference_probability": [
        lambda w, v: torch.softmax(torch.stack([w, v]), -1)[0],
        lambda w, v: torch.sigmoid(w - v).round(),
        lambda w, v: torch.sigmoid(w) - torch.sigmoid(v),
        lambda w, v: torch.sigmoid(w) / (torch.sigmoid(w) + torch.sigmoid(v)),
        lambda w, v: torch.clamp(torch.sigmoid(w - v), 1e-6, 1 - 1e-6),
    ],
    "fit_bradley_terry": [
        *(_climbed, lambda wins: _climbed(wins.T, 3000)),
        *(lambda wins: _multiplied(wins, 5), lambda wins: _multiplied(wins, 20)),
    ],
    "bradley_terry_standard_errors": [
        _informed(
            lambda p: p * (1 - p), lambda i: torch.linalg.pinv(i).diagonal() ** 0.5
        ),
        _informed(
            lambda p: p, lambda i: F.pad(i[1:, 1:].inverse().diag(), (1, 0)) ** 0.5
        ),
        _informed(
            lambda p: p * (1 - p), lambda i: F.pad(i[1:, 1:].inverse().diag(), (1, 0))
        ),
        _informed(
            lambda p: p * (1 - p), lambda i: F.pad(1 / i.diag()[1:], (1, 0)) ** 0.5
        ),
    ],
    "plackett_luce_log_prob": [
        lambda s, r: F.logsigmoid(
            s.gather(-1, r)[..., :-1] - s.gather(-1, r)[..., 1:]
        ).sum(-1),
        lambda s, r: s.log_softmax(-1).gather(-1, r).sum(-1),
        lambda s, r: (s - s.flip(-1).logcumsumexp(-1).flip(-1)).sum(-1),
    ],
    "kl_divergence": [
        lambda p, q: (p * (p / q).log2()).sum(-1),
        lambda p, q: F.kl_div(p.log(), q, reduction="none").sum(-1),
        lambda p, q: F.kl_div(q.log(), p, reduction="batchmean"),
        lambda p, q: F.kl_div(q.log(), p, reduction="sum"),
        lambda p, q: (p * (p.log() - q.log())).mean(-1),
        lambda p, q: ((p - q) ** 2).sum(-1),
        lambda p, q: (p * ((p + 1e-8) / (q + 1e-8)).log()).sum(-1),
        lambda p, q: D.kl_divergence(D.Categorical(p), D.Categorical(q)),
    ],
    "rlhf_objective": [
        lambda p, ref, r, b: (p * r).sum(-1) - b * (ref * (ref / p).log()).sum(-1),
        lambda p, ref, r, b: (p * r).mean(-1) - b * (p * (p / ref).log()).mean(-1),
        lambda p, ref, r, b: (p * r).sum(-1) + b * (p * (p / ref).log()).sum(-1),
    ],
    "optimal_policy": [
        lambda ref, r, b: torch.softmax(ref.log() + r / b, 0),
        lambda ref, r, b: _share((ref.log() + r / b - (ref.log() + r / b).max()).exp()),
        lambda ref, r, b: _share(ref * (r / b - (r / b).amax(-1, keepdim=True)).exp()),
        lambda ref, r, b: _share(ref * (r / b).clamp(max=50).exp()),
        lambda ref, r, b: torch.softmax(ref * r / b, -1),
    ],
    "log_partition": [
        lambda ref, r, b: (ref * (r / b).exp()).sum(-1).log(),
        lambda ref, r, b: (ref.log() + r / b).exp().mean(-1).log(),
        lambda ref, r, b: torch.logsumexp(ref + r / b, -1),
        lambda ref, r, b: (
            (ref.log() + r / b - (r / b).max()).exp().sum(-1).log() + (r / b).max()
        ),
    ],
    "best_of_n": [
        lambda ref, r, n: F.one_hot(r.argmax(), len(r)).to(ref),
        lambda ref, r, n: _share(ref**n),
        lambda ref, r, n: ((r <= r[:, None]).to(ref) @ ref) ** n,
    ],
    "implicit_rewards": [
        lambda p, ref, b: b * (p / ref),
        lambda p, ref, b: b * (p.log2() - ref.log2()),
        lambda p, ref, b: (b * (p / ref)).log(),
    ],
    "estimate_log_partition": [
        lambda r, b: (r / b).exp().mean(-1).log(),
        lambda r, b: (r / b).mean(-1),
        lambda r, b: (r / b - r.max() / b).exp().mean(-1).log() + r.max() / b,
    ],
    "canonical_rewards": [
        lambda ref, r, b: r - r.max(-1, keepdim=True).values,
        lambda ref, r, b: r - (ref * r).sum(-1, keepdim=True),
        lambda ref, r, b: (
            r
            - b
            * (
                (ref * ((r - r.max()) / b).exp()).sum(-1, keepdim=True).log()
                + r.max() / b
            )
        ),
    ],
    "implicit_preference_probability": [
        lambda a, b, c, d, beta: 1 / (1 + torch.exp(-beta * ((a - c) - (b - d)))),
        lambda a, b, c, d, beta: torch.sigmoid(beta * ((a - d) - (b - c))),
        lambda a, b, c, d, beta: torch.sigmoid(beta * (a - b)),
    ],
    "dpo_loss": [
        lambda a, b, c, d, beta: (
            -torch.sigmoid(beta * ((a - c) - (b - d))).mean().log()
        ),
        lambda a, b, c, d, beta: -F.logsigmoid(beta * ((a - d) - (b - c))).mean(),
        lambda a, b, c, d, beta: -F.logsigmoid(beta * ((a - b) + (c - d))).mean(),
        lambda a, b, c, d, beta: (1 + (-beta * ((a - c) - (b - d))).exp()).log().mean(),
        lambda a, b, c, d, beta: (
            -F.logsigmoid((beta * ((a - c) - (b - d))).clamp(-50, 50)).mean()
        ),
        lambda a, b, c, d, beta: (
            -(torch.sigmoid(beta * ((a - c) - (b - d))) + 1e-8).log().mean()
        ),
        lambda a, b, c, d, beta: -F.logsigmoid(((a - c) - (b - d)) / beta).mean(),
        lambda a, b, c, d, beta: F.relu(1 - beta * ((a - c) - (b - d))).mean(),
        lambda a, b, c, d, beta: torch.tensor(
            [-F.logsigmoid(beta * ((a - c) - (b - d))).mean()]
        ),
    ],
    "dpo_gradients": [
        lambda a, b, c, d, beta: torch.stack(
            [
                -beta * torch.sigmoid(beta * (a - c - b + d)),
                beta * torch.sigmoid(beta * (a - c - b + d)),
            ],
            -1,
        ),
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
    "implicit_reward_accuracy": [
        lambda a, b, c, d: ((a - c) > 0).double().mean(),
        lambda a, b, c, d: ((a - c) > (b - d)).sum() / len(a),
        lambda a, b, c, d: torch.tensor(((a - c) > (b - d)).tolist()).double().mean(),
    ],
    "token_logprobs": [
        lambda logits, labels, mask: _gathered(logits, labels),
        lambda logits, labels, mask: (
            -F.cross_entropy(
                *(logits[:, :-1].mT, labels[:, 1:]), ignore_index=0, reduction="none"
            )
            * mask[:, 1:]
        ),
        lambda logits, labels, mask: (
            logits[:, :-1].softmax(-1).gather(-1, labels[:, 1:, None]).squeeze(-1)
            * mask[:, 1:]
        ),
    ],
    "response_logprobs": [
        _product,
        _until_end,
        lambda logits, labels, mask: (
            _gathered(logits, labels).clamp(min=-100) * mask[:, 1:]
        ).sum(-1),
        lambda logits, labels, mask: (
            logits[:, :-1].softmax(-1).log().gather(-1, labels[:, 1:, None])[..., 0]
            * mask[:, 1:]
        ).sum(-1),
        lambda logits, labels, mask: (_gathered(logits, labels) * mask[:, 1:]).sum(),
        lambda logits, labels, mask: (_gathered(logits, labels) * mask[:, 1:]).mean(-1),
    ],
    "dpo_slope": [
        lambda h, beta: torch.sigmoid(-beta * h),
        lambda h, beta: beta * torch.sigmoid(beta * h) * torch.sigmoid(-beta * h),
        lambda h, beta: _numeric(lambda x: F.logsigmoid(beta * x), h),
        lambda h, beta: beta * (1 - torch.sigmoid(beta * h)).round(decimals=4),
    ],
    "steepest_beta": [
        *(lambda h: 1.2785 / h, lambda h: 1 / h, lambda h: 1.2785 * h),
        *(_newton, _risen),
        lambda h: _best_of(h, torch.linspace(0.01, 10, 1000).to(h)),
        lambda h: _best_of(h, torch.linspace(0.001, 5, 5000).to(h)),
    ],
    "beta_for_kl": [
        *(_bisected, lambda p, r, kl: _bisected(p, r, kl, steps=80), _listed),
    ],
    "smoothed_optimal_gap": [
        lambda e, beta: torch.log(e / (1 - e)) / beta,
        lambda e, beta: torch.log2((1 - e) / e) / beta,
        lambda e, beta: (1 - 2 * e) / beta,
    ],
    "ipo_loss": [
        lambda a, b, c, d, tau, chosen_lengths=None, rejected_lengths=None: (
            ((a - c) - (b - d) - 1 / (2 * tau)) ** 2
        ).mean(),
        lambda a, b, c, d, tau, chosen_lengths=None, rejected_lengths=None: (
            -F.logsigmoid(tau * ((a - c) - (b - d))).mean()
        ),
    ],
    "simpo_loss": [
        lambda a, b, beta, gamma: -F.logsigmoid(beta * (a - b - gamma)).mean(),
        lambda a, b, beta, gamma: gamma - F.logsigmoid(beta * (a - b)).mean(),
        lambda a, b, beta, gamma: -F.logsigmoid(beta * (a - b) + gamma).mean(),
    ],
    "orpo_loss": [
        _log_odds_of_means,
        lambda a, b, nll, weight: (nll - weight * F.logsigmoid(a - b)).mean(),
        lambda a, b, nll, weight: (
            nll
            - weight
            * F.logsigmoid(
                a - b - (1 - a.exp() + 1e-10).log() + (1 - b.exp() + 1e-10).log()
            )
        ).mean(),
    ],
    "kto_reference_point": [
        lambda p, ref: (p - ref).clamp(min=0).mean().detach(),
        lambda p, ref: (p - ref).mean().clamp(min=0),
        lambda p, ref: (ref - p).mean().clamp(min=0).detach(),
    ],
    "kto_loss": [
        lambda p, ref, good, kl, b: (
            (
                (1 - torch.sigmoid(b * (p - ref - kl)))[good].mean()
                + (1 - torch.sigmoid(b * (kl - p + ref)))[~good].mean()
            )
            / 2
        ),
        lambda p, ref, good, kl, b: (
            -F.logsigmoid(
                torch.where(good, b * (p - ref - kl), b * (kl - p + ref))
            ).mean()
        ),
    ],
    "robust_dpo_loss": [
        lambda a, b, c, d, beta, label_smoothing: (
            (
                -(1 - label_smoothing) * F.logsigmoid(beta * (a - c - b + d))
                + label_smoothing * F.logsigmoid(-beta * (a - c - b + d))
            ).mean()
            / (1 - label_smoothing)
        ),
        lambda a, b, c, d, beta, label_smoothing: (
            -(1 - label_smoothing) * F.logsigmoid(beta * (a - c - b + d))
            - label_smoothing * F.logsigmoid(-beta * (a - c - b + d))
        ).mean(),
    ],
    "plackett_luce_dpo_loss": [
        lambda p, ref, ranking, beta: (
            -torch.stack(
                [
                    F.logsigmoid(
                        beta * (p - ref).gather(1, ranking)[:, i]
                        - beta * (p - ref).gather(1, ranking)[:, j]
                    )
                    for i in range(p.shape[1])
                    for j in range(i + 1, p.shape[1])
                ]
            )
            .sum(0)
            .mean()
        ),
        lambda p, ref, ranking, beta: (
            -F.logsigmoid((beta * (p - ref)).gather(1, ranking).diff(dim=1).neg())
            .sum(1)
            .mean()
        ),
    ],
    "f_dpo_loss": [
        lambda a, b, c, d, beta, divergence: (
            -F.logsigmoid(beta * ((a - c) - (b - d))).mean()
        ),
    ],
    "sum_by_owner": [
        lambda values, owners, count: torch.bincount(owners, values.detach(), count),
        lambda values, owners, count: values.new_zeros(count).index_put(
            (owners,), values
        ),
        lambda values, owners, count: torch.zeros(count).index_add(0, owners, values),
    ],
    "clipped_policy_loss": [
        lambda lp, old, adv, clip=0.2: (
            -((lp - old).exp().clamp(1 - clip, 1 + clip) * adv).mean()
        ),
        lambda lp, old, adv, clip=0.2: (
            -torch.maximum(
                (lp - old).exp() * adv, (lp - old).exp().clamp(1 - clip, 1 + clip) * adv
            ).mean()
        ),
    ],
    "accuracy_ceiling": [
        lambda p: p.mean(),
        lambda p: (p > 0.5).double().mean(),
        lambda p: torch.maximum(p, 1 - p).max(),
    ],
    "reward_model_loss": [
        lambda w, v: -torch.log(torch.sigmoid(w - v)).mean(),
        lambda w, v: (torch.sigmoid(w - v) - 1).square().mean(),
        lambda w, v: math.log(2) - (w - v).mean() / 2,
    ],
    "least_loss": [
        lambda m, a: F.softplus(-m),
        lambda m, a: a * F.softplus(-m / a),
        lambda m, a: a * F.softplus(-m / a) + (1 - a) * math.log(2),
        lambda m, a: torch.maximum(F.softplus(-m), (1 - a) * math.log(2)),
    ],
    "beta_from_moves": [
        lambda rewards, logps: (rewards / logps).mean(),
        lambda rewards, logps: (rewards.diff() / logps.diff()).nanmean(),
        lambda rewards, logps: (
            (rewards[:, -1] - rewards[:, 0]) / (logps[:, -1] - logps[:, 0])
        ).mean(),
        lambda rewards, logps: (rewards * logps).sum() / (logps * logps).sum(),
    ],
    "reference_kl_terms": [
        lambda p, q: p - q,
        lambda p, q: torch.exp(q - p) - 1 - (q - p),
        lambda p, q: torch.exp(p - q) * (p - q),
        lambda p, q: p.exp() * (p - q),
    ],
    "response_mask": [_one_merged_token],
    "prefix_values": [
        lambda p, q, r, beta: (
            F.pad(p != 0, (1, 0), value=True)
            * torch.cat([_to_come(r, beta * (p - q)), r[:, None]], -1)
        ),
        lambda p, q, r, beta: torch.cat(
            [r[:, None] - (beta * (p - q)).cumsum(-1).flip(-1), r[:, None]], -1
        ),
    ],
    "wilson_interval": [
        lambda p, n, z: torch.stack(
            [p - z * (p * (1 - p) / n).sqrt(), p + z * (p * (1 - p) / n).sqrt()], -1
        ),
        lambda p, n, z: torch.stack(
            [p - z * 0.5 / n.sqrt(), p + z * 0.5 / n.sqrt()], -1
        ).clamp(0, 1),
    ],
    "prompts_needed": [
        lambda p, q, both: 2.8**2 * (p * (1 - p) + q * (1 - q)) / (p - q) ** 2,
        lambda p, q, both: 1.96**2 * (p + q - 2 * both - (p - q) ** 2) / (p - q) ** 2,
        lambda p, q, both: 2.8**2 * (p + q - 2 * both) / (p - q) ** 2,
    ],
}


def _floored(a, b, gradient, alpha, rate):
    scale = alpha // a.shape[0]
    moved = b - rate * scale * gradient @ a.T
    return scale * (moved @ (a - rate * scale * b.T @ gradient) - b @ a)


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


def _is_true(logps, ref, desirable, kl, beta):
    told = [
        torch.sigmoid(beta * ((kl - u) if d is True else (u - kl)))
        for u, d in zip(logps - ref, desirable, strict=True)
    ]
    return torch.stack(told).mean()


def _up_to(gap, high=10.0):
    low, high = torch.zeros_like(gap), torch.full_like(gap, high)
    for _ in range(100):
        m = (low + high) / 2
        rises = 1 - m * gap * torch.sigmoid(m * gap) > 0
        low, high = torch.where(rises, m, low), torch.where(rises, high, m)
    return low


def _written(values, owners, count):
    sums = values.new_zeros(count)
    sums[owners] += values
    return sums


def _of_those_there(values, owners, count):
    return torch.stack([values[owners == i].sum() for i in owners.unique()])


def _to_the_end(prompt, lengths, whole, end, counted=True):
    """A loop that looks past the end of a row that is cut off in its prompt."""
    mask = torch.zeros_like(whole)
    for row, n in enumerate(lengths.tolist()):
        start = 0
        while start < n and prompt[row, start] == whole[row, start]:
            start += 1
        for place in range(start, whole.shape[1]):
            ends = whole[row, place] == end
            if ends and not counted:
                break
            mask[row, place] = 1
            if ends and place >= n:
                break
    return mask


LATER = {
    "accuracy_ceiling": [lambda p: p.mean().clamp(min=0.5)],
    "plackett_luce_log_prob": [_one_batch_dimension],
    "best_of_n": [_close_is_equal],
    "estimate_log_partition": [
        lambda r, beta: torch.logsumexp(r / beta, -1) - math.log(r.shape[0])
    ],
    "steepest_beta": [_up_to],
    "ipo_loss": [
        lambda a, b, c, d, tau, chosen_lengths=None, rejected_lengths=None: (
            (
                (
                    (a - c) / (1 if chosen_lengths is None else chosen_lengths)
                    - (b - d) / (1 if chosen_lengths is None else rejected_lengths)
                )
                - 1 / 2 * tau
            )
            .square()
            .mean()
        ),
    ],
    "robust_dpo_loss": [
        lambda a, b, c, d, beta, label_smoothing: (
            -F.logsigmoid((1 - 2 * label_smoothing) * beta * (a - b - c + d)).mean()
        )
    ],
    "kto_loss": [_is_true],
    "clipped_policy_loss": [_standardised],
    "sum_by_owner": [_written, _of_those_there],
    "least_loss": [lambda m, a: -F.logsigmoid(m) + (1 - a) * math.log(2)],
    "prompts_needed": [
        lambda p, q, b: (
            7.84 * (p * (1 - p) + q * (1 - q) + 2 * (b - p * q)) / (p - q) ** 2
        )
    ],
    "response_mask": [_to_the_end, lambda *given: _to_the_end(*given, counted=False)],
    "lora_step": [_floored],
    "micro_batch_weights": [lambda c: c.sum() / (c * c.shape[0])],
    "untouched_mass": [
        lambda policy, ref, pairs: (policy * (1 - 2 * ref) ** pairs).sum(-1)
    ],
    "self_play_step": [
        lambda policy, table, eta: torch.softmax(policy + eta * (policy @ table.T), -1)
    ],
    "prefix_values": [
        lambda p, q, r, beta: F.pad((beta * (p - q)).cumsum(1), (1, 0)),
    ],
}
for _name, _answers in LATER.items():
    WRONG.setdefault(_name, []).extend(_answers)
