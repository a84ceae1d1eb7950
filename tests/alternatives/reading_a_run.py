"""Chapter 08."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def least_loss__by_sign(margin, accuracy):
    right = accuracy * F.softplus(-margin / accuracy) + (1 - accuracy) * math.log(2)
    wrong = 1 - accuracy
    other = accuracy * math.log(2) + wrong * F.softplus(-margin / wrong)
    return torch.where(margin > 0, right, other)


def least_loss__by_a_loop(margin, accuracy):
    found = []
    for m, a in zip(margin.tolist(), accuracy.tolist(), strict=True):
        share = a if m > 0 else 1 - a
        z = m / share
        cost = math.log1p(math.exp(-abs(z))) + max(-z, 0.0)
        found.append(share * cost + (1 - share) * math.log(2))
    return torch.tensor(found, dtype=margin.dtype)


def least_loss__by_clamps(margin, accuracy):
    right = (margin / accuracy.clamp(min=1e-30)).clamp(min=0)
    wrong = (margin / (1 - accuracy).clamp(min=1e-30)).clamp(max=0)
    return accuracy * F.softplus(-right) + (1 - accuracy) * F.softplus(-wrong)


def beta_from_moves__by_a_dot(rewards, logps):
    x = (logps - logps[:, 0][:, None]).flatten()
    y = (rewards - rewards[:, 0][:, None]).flatten()
    return torch.dot(x, y) / torch.dot(x, x)


def beta_from_moves__by_a_loop(rewards, logps):
    top = bottom = 0.0
    for side in range(len(rewards)):
        for row in range(1, rewards.shape[1]):
            x = logps[side, row] - logps[side, 0]
            top = top + x * (rewards[side, row] - rewards[side, 0])
            bottom = bottom + x * x
    return top / bottom


def reference_kl_terms__by_two_means(policy_logps, ref_logps):
    u = policy_logps - ref_logps
    return torch.exp(u) * (u - 1) + 1


def reference_kl_terms__by_xlogy(policy_logps, ref_logps):
    rho = torch.exp(policy_logps - ref_logps)
    return torch.xlogy(rho, rho) - rho + 1


def wilson_interval__by_roots(share, count, z):
    ends = []
    for p, n in zip(share.tolist(), count.tolist(), strict=True):
        extra = z * z / n
        roots = np.roots([1 + extra, -(2 * p + extra), p * p])
        ends.append(sorted(roots.real))
    return torch.tensor(np.array(ends)).to(share.dtype)


def wilson_interval__as_in_books(share, count, z):
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    inside = share * (1 - share) / count + z**2 / (4 * count**2)
    half = z * inside**0.5 / (1 + z**2 / count)
    return torch.stack((centre - half, centre + half), dim=-1)


def prompts_needed__by_outcomes(ours, theirs, both):
    first, second = ours - both, theirs - both
    mean = first - second
    variance = first * (1 - mean) ** 2 + second * (1 + mean) ** 2
    variance = variance + (1 - first - second) * mean**2
    return 7.84 * variance / mean**2


def prompts_needed__by_covariance(ours, theirs, both):
    variance = ours * (1 - ours) + theirs * (1 - theirs)
    variance = variance - 2 * (both - ours * theirs)
    return variance * (2.8 / (ours - theirs)).square()
