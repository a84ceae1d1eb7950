"""Chapter 03."""

import math

import torch
import torch.nn.functional as F


def implicit_rewards__by_xlogy(policy, ref, beta):
    return torch.xlogy(torch.full_like(policy, beta), policy) - torch.xlogy(beta, ref)


def implicit_rewards__by_a_loop(policy, ref, beta):
    pairs = zip(policy.flatten(), ref.flatten(), strict=True)
    rewards = [beta * torch.log(p) - beta * torch.log(q) for p, q in pairs]
    return torch.stack(rewards).reshape(policy.shape)


def estimate_log_partition__by_the_largest(sampled_rewards, beta):
    scaled = sampled_rewards / beta
    top = scaled.amax(-1, keepdim=True).detach()
    return (scaled - top).exp().mean(-1).log() + top.squeeze(-1)


def estimate_log_partition__by_zeros(sampled_rewards, beta):
    zeros = torch.zeros_like(sampled_rewards)
    return torch.logsumexp(sampled_rewards / beta, -1) - torch.logsumexp(zeros, -1)


def estimate_log_partition__with_the_reference_of_the_sample(sampled_rewards, beta):
    share = math.log(1 / sampled_rewards.shape[-1])
    return torch.logsumexp(sampled_rewards / beta + share, dim=-1)


def canonical_rewards__by_the_optimal_policy(ref, rewards, beta):
    log_policy = F.log_softmax(ref.log() + rewards / beta, -1)
    return beta * (log_policy - ref.log())


def canonical_rewards__by_a_large_reward(ref, rewards, beta):
    top = rewards.amax(-1, keepdim=True).detach()
    total = (ref * ((rewards - top) / beta).exp()).sum(-1, keepdim=True)
    return rewards - top - beta * total.log()


def canonical_rewards__by_addition_in_logs(ref, rewards, beta):
    log_z = None
    for p, r in zip(ref.unbind(-1), rewards.unbind(-1), strict=True):
        term = p.log() + r / beta
        log_z = term if log_z is None else torch.logaddexp(log_z, term)
    return rewards - beta * log_z.unsqueeze(-1)


def implicit_preference_probability__by_softmax(
    policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps, b
):
    chosen = b * (policy_chosen_logps - ref_chosen_logps)
    rejected = b * (policy_rejected_logps - ref_rejected_logps)
    return torch.stack([chosen, rejected]).softmax(0)[0]


def implicit_preference_probability__by_policies_first(pw, pl, rw, rl, beta):
    return torch.sigmoid(beta * (pw - pl) - beta * (rw - rl))


def implicit_preference_probability__by_the_log(pw, pl, rw, rl, beta):
    return F.logsigmoid(beta * (pw - rw - pl + rl)).exp()
