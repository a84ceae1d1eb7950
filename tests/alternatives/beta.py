"""Chapter 05."""

import numpy as np
import torch
import torch.nn.functional as F


def dpo_slope__by_autograd(gap, beta):
    h = gap.detach().clone().requires_grad_()
    loss = -F.logsigmoid(beta * h).sum()
    (slope,) = torch.autograd.grad(loss, h)
    return slope.abs()


def dpo_slope__by_tanh(gap, beta):
    return beta * (1 - torch.tanh(beta * gap / 2)) / 2


def dpo_slope__by_softmax(gap, beta):
    return beta * torch.stack([0 * gap, beta * gap]).softmax(0)[0]


def steepest_beta__by_newton(gap):
    u = torch.ones_like(gap)
    for _ in range(20):
        u = u - (u - 1 - torch.exp(-u)) / (1 + torch.exp(-u))
    return u / gap


def steepest_beta__by_grid(gap):
    u = torch.linspace(1, 2, 100_001, dtype=torch.float64)
    best = u[(u * torch.sigmoid(-u)).argmax()]
    return (best / gap.double()).to(gap.dtype)


def steepest_beta__by_bisection(gap):
    low, high = torch.zeros_like(gap), torch.full_like(gap, 5.0)
    for _ in range(60):
        middle = (low + high) / 2
        left = middle * torch.sigmoid(middle) < 1
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    return low / gap


def beta_for_kl__by_secant(ref, rewards, kl):
    def spent(log_beta):
        policy = ref * torch.softmax(rewards.double() / np.exp(log_beta), -1)
        policy = policy / policy.sum()
        return float(torch.xlogy(policy, policy / ref).sum())

    low, high = np.log(1e-4), np.log(1e4)
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > kl else (low, middle)
    return torch.tensor(np.exp(low))


def beta_for_kl__in_numpy(ref, rewards, kl):
    p, r = ref.double().numpy(), rewards.double().numpy()
    p = p / p.sum()

    def spent(inverse):
        weights = p * np.exp(inverse * (r - r.max()))
        log_z = np.log(weights.sum())
        policy = weights / weights.sum()
        return float(policy @ (inverse * (r - r.max()) - log_z))

    low, high = 0.0, 1e4  # 1/β
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if spent(middle) > kl else (middle, high)
    return 1 / low


def smoothed_optimal_gap__by_logit(label_smoothing, beta):
    return -torch.logit(label_smoothing) / beta


def smoothed_optimal_gap__by_two_logs(eps, beta):
    return (torch.log1p(-eps) - torch.log(eps)) / beta
