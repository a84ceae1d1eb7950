"""Chapter 10, its first half: coverage and games."""

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
