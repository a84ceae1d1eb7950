"""Chapters 00 and 01."""

import numpy as np
import torch
import torch.nn.functional as F


def preference_probability__by_softmax(reward_w, reward_l):
    return torch.stack([reward_w, reward_l]).softmax(0)[0]


def preference_probability__by_logaddexp(a, b):
    return torch.exp(a - torch.logaddexp(a, b))


def preference_probability__by_stable_exponentials(a, b):
    top = torch.maximum(a, b).detach()
    return (a - top).exp() / ((a - top).exp() + (b - top).exp())


def reward_model_loss__by_softplus(chosen, rejected):
    return F.softplus(rejected - chosen).mean()


def reward_model_loss__by_cross_entropy(chosen, rejected):
    difference = chosen - rejected
    return F.binary_cross_entropy_with_logits(difference, torch.ones_like(difference))


def reward_model_loss__by_a_loop(chosen, rejected):
    total = 0
    for c, r in zip(chosen, rejected, strict=True):
        total = total + torch.logaddexp(c, r) - c
    return total / len(chosen)


def fit_bradley_terry__by_minorisation(wins):
    wins = wins.double()
    games = wins + wins.T
    strength = torch.ones(len(wins), dtype=torch.float64)
    for _ in range(600):
        pairs = games / (strength[:, None] + strength)
        strength = wins.sum(1) / pairs.sum(1)
    return (strength / strength[0]).log()


def fit_bradley_terry__by_autograd(wins):
    wins = wins.double()
    scores = torch.zeros(len(wins), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([scores], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = -(wins * F.logsigmoid(scores[:, None] - scores)).sum()
        value.backward()
        return value

    for _ in range(5):
        optimiser.step(loss)
    return (scores - scores[0]).detach()


def bradley_terry_standard_errors__in_numpy(scores, games):
    p = 1 / (1 + np.exp(-(scores[:, None] - scores[None]).numpy()))
    weight = games.numpy() * p * (1 - p)
    information = np.diag(weight.sum(1)) - weight
    errors = np.sqrt(np.diag(np.linalg.inv(information[1:, 1:])))
    return torch.tensor([0.0, *errors], dtype=scores.dtype)


def bradley_terry_standard_errors__by_hessian(scores, games):
    def loss(free):
        s = torch.cat([free.new_zeros(1), free])
        return -(games / 2 * F.logsigmoid(s[:, None] - s)).sum()

    free = scores[1:] - scores[0]
    hessian = torch.autograd.functional.hessian(loss, free)
    errors = torch.linalg.inv(hessian).diagonal().sqrt()
    return torch.cat([errors.new_zeros(1), errors])


def plackett_luce_log_prob__by_a_loop(scores, ranking):
    ordered = torch.take_along_dim(scores, ranking, -1)
    stages = [
        ordered[..., i] - ordered[..., i:].logsumexp(-1)
        for i in range(scores.shape[-1])
    ]
    return sum(stages)


def plackett_luce_log_prob__by_masked_softmax(scores, ranking):
    left = torch.zeros_like(scores)
    total = torch.zeros_like(scores[..., 0])
    for stage in range(scores.shape[-1]):
        pick = ranking[..., stage : stage + 1]
        logs = (scores + left).log_softmax(-1)
        total = total + logs.gather(-1, pick)[..., 0]
        left = left.scatter(-1, pick, float("-inf"))
    return total


def accuracy_ceiling__by_distance(p):
    return 0.5 + (p - 0.5).abs().mean()


def accuracy_ceiling__by_where(probabilities):
    return torch.where(probabilities < 0.5, 1 - probabilities, probabilities).mean()
