"""Chapter 10, its second half."""

import torch


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
