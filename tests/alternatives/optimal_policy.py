"""Chapter 02."""

import torch


def kl_divergence__by_masking(p, q):
    ratio = torch.where(p > 0, p / q, torch.ones_like(p))
    return (p * ratio.log()).sum(-1)


def kl_divergence__by_cross_entropy(p, q):
    return -torch.xlogy(p, q).sum(-1) - torch.special.entr(p).sum(-1)


def kl_divergence__answer_by_answer(p, q):
    total = 0 * p[..., 0]
    for i in range(p.shape[-1]):
        ratio = torch.where(p[..., i] > 0, p[..., i] / q[..., i], 1)
        total = total + p[..., i] * ratio.log()
    return total


def rlhf_objective__answer_by_answer(policy, ref, rewards, beta):
    price = torch.xlogy(policy, policy) - torch.xlogy(policy, ref)
    return (policy * rewards - beta * price).sum(-1)


def rlhf_objective__by_entropy(policy, ref, rewards, beta):
    earned = (policy * rewards).sum(-1)
    return earned + beta * (
        torch.special.entr(policy).sum(-1) + torch.xlogy(policy, ref).sum(-1)
    )


def optimal_policy__by_shifted_exponentials(ref, rewards, beta):
    said = torch.where(ref > 0, rewards, -torch.inf)
    top = said.max(-1, keepdim=True).values
    rewards = torch.where(ref > 0, rewards, top)
    weights = ref * torch.exp((rewards - top) / beta)
    return weights / weights.sum(-1, keepdim=True)


def optimal_policy__by_log_z(ref, rewards, beta):
    logs = ref.log() + rewards / beta
    return (logs - logs.logsumexp(-1, keepdim=True)).exp()


def log_partition__by_the_largest(ref, rewards, beta):
    said = torch.where(ref > 0, rewards, -torch.inf)
    top = said.max(-1, keepdim=True).values
    rewards = torch.where(ref > 0, rewards, top)
    rest = (ref * torch.exp((rewards - top) / beta)).sum(-1)
    return top[..., 0] / beta + rest.log()


def log_partition__by_logaddexp(ref, rewards, beta):
    logs = ref.log() + rewards / beta
    total = logs[..., 0]
    for i in range(1, logs.shape[-1]):
        total = torch.logaddexp(total, logs[..., i])
    return total


def best_of_n__by_a_loop(ref, rewards, n):
    answer = torch.zeros_like(ref)
    for i in range(len(ref)):
        if ref[i] > 0:
            below = ref[rewards < rewards[i]].sum()
            level = ref[rewards == rewards[i]].sum()
            answer[i] = ref[i] / level * ((below + level) ** n - below**n)
    return answer


def best_of_n__draw_by_draw(ref, rewards, n):
    best = ref.clone()
    for _ in range(n - 1):  # one more draw replaces the best only if it is better
        after = torch.zeros_like(ref)
        for i in range(len(ref)):
            stays = best[i] * ref[rewards <= rewards[i]].sum()
            comes = ref[i] * best[rewards < rewards[i]].sum()
            after[i] = stays + comes
        best = after
    return best
