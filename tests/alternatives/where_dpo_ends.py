"""Chapter 10."""

import torch
import torch.nn.functional as F


def untouched_mass__by_powers(policy, ref, pairs):
    seen_nothing = (1 - ref.double()) ** (2 * pairs)
    return (policy.double() * seen_nothing).sum(-1).to(policy.dtype)


def untouched_mass__by_xlog1py(policy, ref, pairs):
    draws = torch.full_like(ref, 2.0 * pairs)
    return torch.einsum("...i,...i", policy, torch.special.xlog1py(draws, -ref).exp())


def untouched_mass__by_expm1(policy, ref, pairs):
    touched = -torch.expm1(2 * pairs * torch.log1p(-ref))
    return (policy - policy * touched).sum(-1)


def self_play_step__by_weights(policy, preferences, eta):
    wins = (preferences * policy[..., None, :]).sum(-1)
    weights = policy * torch.exp(eta * (wins - wins.amax(-1, keepdim=True)))
    return weights / weights.sum(-1, keepdim=True)


def self_play_step__by_einsum(policy, preferences, eta):
    wins = torch.einsum("ij,...j->...i", preferences, policy)
    return F.softmax(torch.log(policy) + eta * wins, dim=-1)


def prefix_values__by_a_loop(policy_logps, ref_logps, rewards, beta):
    values = [rewards]
    for step in reversed(range(policy_logps.shape[1])):
        credit = beta * (policy_logps[:, step] - ref_logps[:, step])
        values.insert(0, values[0] - credit)
    return torch.stack(values, 1)


def prefix_values__from_the_start(policy_logps, ref_logps, rewards, beta):
    credit = beta * (policy_logps - ref_logps)
    start = rewards - credit.sum(1)
    paid = torch.cat([torch.zeros_like(credit[:, :1]), credit.cumsum(1)], 1)
    return start[:, None] + paid


def pair_pushes__by_gradients(features, policy, chosen, rejected):
    scores = features - (policy[:, None] * features).sum(0, keepdim=True)
    return torch.einsum("pd,yd->py", scores[chosen] - scores[rejected], scores)


def pair_pushes__by_a_kernel(features, policy, chosen, rejected):
    kernel = features @ features.T
    raw = kernel[chosen] - kernel[rejected]
    return raw - (raw @ policy)[:, None]
