"""Chapter 06."""

import math

import torch
import torch.nn.functional as F


def ipo_loss__by_a_loop(a, b, c, d, tau, chosen_lengths=None, rejected_lengths=None):
    losses = []
    for i in range(len(a)):
        u, v = a[i] - c[i], b[i] - d[i]
        if chosen_lengths is not None and rejected_lengths is not None:
            u, v = u / int(chosen_lengths[i]), v / int(rejected_lengths[i])
        losses.append((u - v - 0.5 / tau) ** 2)
    return sum(losses) / len(losses)


def ipo_loss__by_mse(a, b, c, d, tau, chosen_lengths=None, rejected_lengths=None):
    n = 1 if chosen_lengths is None else chosen_lengths
    m = 1 if rejected_lengths is None else rejected_lengths
    gap = (a - c) / n - (b - d) / m
    return F.mse_loss(gap, torch.full_like(gap, 1 / (2 * tau)))


def ipo_loss__multiplied_out(
    a, b, c, d, tau, chosen_lengths=None, rejected_lengths=None
):
    """(2τh − 1)² / (2τ)², with a reference that is cut off."""
    u, v = a - c.detach(), b - d.detach()
    if chosen_lengths is not None:
        u, v = torch.div(u, chosen_lengths), torch.div(v, rejected_lengths)
    return torch.mean((2 * tau * (u - v) - 1).square()) / (4 * tau * tau)


def simpo_loss__by_softplus(a, b, beta, gamma):
    return F.softplus(gamma - beta * (a - b)).mean()


def simpo_loss__by_logsumexp(a, b, beta, gamma):
    sides = torch.stack([beta * a, beta * b + gamma], -1)
    return (sides.logsumexp(-1) - beta * a).mean()


def simpo_loss__by_cross_entropy(a, b, beta, gamma):
    scores = torch.stack([beta * a - gamma, beta * b], dim=1)
    return F.cross_entropy(scores, torch.zeros(len(a), dtype=torch.long))


def orpo_loss__with_log1mexp(a, b, nll, weight):
    """Two branches, each of which sees inputs of its own side only."""

    def log1mexp(x):
        edge = -math.log(2)
        near = (-torch.expm1(x.clamp(min=edge))).log()
        far = torch.log1p(-x.clamp(max=edge).exp())
        return torch.where(x > edge, near, far)

    ratio = (a - b) - (log1mexp(a) - log1mexp(b))
    return nll.mean() - weight * F.logsigmoid(ratio).mean()


def orpo_loss__by_softplus(a, b, nll, weight):
    chosen, rejected = (x - torch.log(-torch.special.expm1(x)) for x in (a, b))
    return torch.mean(nll + weight * F.softplus(rejected - chosen))


def orpo_loss__by_a_loop(a, b, nll, weight):
    total = 0.0
    for chosen, rejected, cost in zip(a, b, nll, strict=True):
        for_it = chosen - (-torch.expm1(chosen)).log()
        against = rejected - (-torch.expm1(rejected)).log()
        total = total + cost + weight * F.softplus(against - for_it)
    return total / len(a)


def kto_reference_point__by_maximum(policy, ref):
    mean = (policy.detach() - ref.detach()).mean()
    return torch.maximum(mean, torch.zeros_like(mean))


def kto_reference_point__without_gradient(policy, ref):
    with torch.no_grad():
        return F.relu(policy.mean() - ref.mean())


def kto_reference_point__by_a_sum(policy, ref):
    ratios = torch.sub(policy, ref).detach()
    return (ratios.sum() / ratios.numel()).clamp_min(0.0)


def kto_loss__by_signs(policy, ref, desirable, kl, beta):
    sign = 2 * desirable.to(policy.dtype) - 1
    return (1 - torch.sigmoid(sign * beta * (policy - ref - kl))).mean()


def kto_loss__by_kinds(policy, ref, desirable, kl, beta):
    ratio = policy - ref.detach()
    good = torch.sigmoid(beta * (kl - ratio[desirable]))
    bad = torch.sigmoid(beta * (ratio[~desirable] - kl))
    return torch.cat([good, bad]).mean()


def kto_loss__by_tanh(policy, ref, desirable, kl, beta):
    half = beta * (policy - ref - kl) / 2
    half = torch.where(desirable, half, -half)
    return 0.5 - half.tanh().mean() / 2


def robust_dpo_loss__in_one_logarithm(a, b, c, d, beta, label_smoothing):
    margin = beta * ((a - c) - (b - d))
    slope = label_smoothing / (1 - 2 * label_smoothing)
    return (F.softplus(-margin) - slope * margin).mean()


def robust_dpo_loss__from_the_turned_pair(a, b, c, d, beta, label_smoothing):
    def loss(gap):
        return F.softplus(-beta * gap)

    gap, e = a - b - c.detach() + d.detach(), label_smoothing
    kept = (1 - e) / (1 - 2 * e)
    return torch.mean(kept * loss(gap) + (1 - kept) * loss(-gap))


def robust_dpo_loss__from_cdpo(a, b, c, d, beta, label_smoothing):
    """Smoothed labels, twice ε of the turned pair's loss taken away, scaled up."""
    margin, e = beta * (a - b - c + d), label_smoothing
    turned = -F.logsigmoid(-margin)
    smoothed = -(1 - e) * F.logsigmoid(margin) + e * turned
    return ((smoothed - 2 * e * turned) / (1 - 2 * e)).mean()


def plackett_luce_dpo_loss__stage_by_stage(policy, ref, ranking, beta):
    total = 0.0
    for row, order in enumerate(ranking.tolist()):
        rewards = beta * (policy[row] - ref[row])
        for stage in range(len(order)):
            left = rewards[order[stage:]]
            total = total - left[0] + left.logsumexp(0)
    return total / len(ranking)


def plackett_luce_dpo_loss__by_cross_entropy(policy, ref, ranking, beta):
    """At each stage a choice among those that are left."""
    best_first = beta * torch.take_along_dim(policy - ref, ranking, 1)
    first = torch.zeros(len(ranking), dtype=torch.long)
    stages = range(ranking.shape[1] - 1)
    return sum(F.cross_entropy(best_first[:, stage:], first) for stage in stages)


def plackett_luce_dpo_loss__by_masks(policy, ref, ranking, beta):
    """Who stands at or behind a place is still in the race."""
    rewards = (beta * (policy - ref.detach())).gather(-1, ranking)
    k = ranking.shape[-1]
    gone = torch.ones(k, k, dtype=torch.bool).tril(-1)
    left = rewards[:, None, :].masked_fill(gone, -torch.inf).logsumexp(-1)
    return (left - rewards).sum(-1).mean()


def f_dpo_loss__by_a_table(a, b, c, d, beta, divergence):
    slope = {
        "reverse_kl": lambda u: u + 1,
        "forward_kl": lambda u: -1 / u.exp(),
        "js": lambda u: -F.softplus(-u),
    }[divergence]
    return F.softplus(-beta * (slope(a - c) - slope(b - d))).mean()


def f_dpo_loss__by_cases(a, b, c, d, beta, divergence):
    u, v = a - c.detach(), b - d.detach()
    if divergence == "reverse_kl":
        gap = u - v
    elif divergence == "forward_kl":
        gap = torch.exp(-v) - torch.exp(-u)
    else:  # log of t / (1 + t), once for each
        gap = u - torch.logaddexp(0 * u, u) - v + torch.logaddexp(0 * v, v)
    return -F.logsigmoid(beta * gap).mean()


def f_dpo_loss__pair_by_pair(a, b, c, d, beta, divergence):
    losses = []
    for chosen, rejected in zip(a - c, b - d, strict=True):
        both = torch.stack([chosen, rejected])
        if divergence == "forward_kl":
            both = -torch.expm1(-both)
        elif divergence == "js":
            both = math.log(2) + F.logsigmoid(both)
        losses.append(-(beta * both).log_softmax(0)[0])
    return torch.stack(losses).mean()
