"""Chapter 04."""

import numpy as np
import torch
import torch.nn.functional as F

from course_lib.bugs import SOUND


def dpo_loss__of_rewards(a, b, c, d, beta):
    chosen_rewards, rejected_rewards = beta * (a - c), beta * (b - d)
    return F.softplus(rejected_rewards - chosen_rewards).mean()


def dpo_loss__with_a_frozen_reference(a, b, c, d, beta):
    margin = beta * ((a - b) - (c - d).detach())
    return F.binary_cross_entropy_with_logits(margin, torch.ones_like(margin))


def dpo_loss__by_a_loop(a, b, c, d, beta):
    losses = []
    for i in range(len(a)):
        margin = beta * (a[i] - c[i] - b[i] + d[i])
        losses.append(torch.logaddexp(torch.zeros_like(margin), -margin))
    return sum(losses) / len(losses)


def dpo_gradients__by_autograd(a, b, c, d, beta):
    w = a.clone().requires_grad_()
    l = b.clone().requires_grad_()  # noqa: E741
    loss = -F.logsigmoid(beta * (w - c - l + d)).sum()
    return torch.stack(torch.autograd.grad(loss, (w, l)), -1)


def dpo_gradients__in_numpy(a, b, c, d, beta):
    margin = beta * (a - c - b + d).numpy()
    small = np.exp(-np.abs(margin))
    weight = np.where(margin > 0, small / (1 + small), 1 / (1 + small))
    pushes = beta * weight[:, None] * np.array([-1.0, 1.0])
    return torch.from_numpy(pushes).to(a.dtype)


def implicit_reward_accuracy__by_comparison(a, b, c, d):
    u, v = a - c, b - d
    return (u > v).to(a.dtype).mean() + (u == v).to(a.dtype).mean() / 2


def implicit_reward_accuracy__by_heaviside(a, b, c, d):
    return torch.heaviside((a - c) - (b - d), a.new_tensor(0.5)).mean()


def token_logprobs__by_cross_entropy(logits, labels, mask):
    surprise = F.cross_entropy(logits[:, :-1].mT, labels[:, 1:], reduction="none")
    return torch.where(mask[:, 1:] == 1, -surprise, 0)


def token_logprobs__by_normaliser(logits, labels, mask):
    before = logits[:, :-1]
    score = torch.take_along_dim(before, labels[:, 1:, None], -1)[..., 0]
    return (score - before.logsumexp(-1)) * mask[:, 1:]


def token_logprobs__by_a_loop(logits, labels, mask):
    out = [[logits.new_zeros(()) for _ in row[1:]] for row in labels]
    for row, t in mask.nonzero().tolist():
        out[row][t - 1] = logits[row, t - 1].log_softmax(-1)[labels[row, t]]
    return torch.stack([torch.stack(row) for row in out])


def token_logprobs__upcast(logits, labels, mask):
    logprobs = torch.log_softmax(logits.float(), -1)[:, :-1]
    return logprobs.gather(-1, labels[:, 1:, None])[..., 0] * mask[:, 1:]


def response_logprobs__upcast(logits, labels, mask):
    surprise = F.cross_entropy(
        logits.float()[:, :-1].mT, labels[:, 1:], reduction="none"
    )
    return -torch.where(mask[:, 1:] == 1, surprise, 0).sum(-1)


def response_logprobs__by_gather(logits, labels, mask):
    logprobs = logits[:, :-1].log_softmax(-1)
    return (logprobs.gather(-1, labels[:, 1:, None])[..., 0] * mask[:, 1:]).sum(1)


def response_logprobs__by_one_hot(logits, labels, mask):
    said = F.one_hot(labels[:, 1:], logits.shape[-1]) * mask[:, 1:, None]
    return (logits[:, :-1].log_softmax(-1) * said).sum((1, 2))


def dpo_loss_is_sound__by_small_tests(loss):
    """One property after the other, gradients by finite differences."""
    four = torch.tensor(
        [[-2.0, -9.0, -4.0], [-5.0, -1.0, -4.0], [-3.0, -8.0, -4.0], [-4.0, -5.0, -1.0]]
    ).double()
    gap = four[0] - four[2] - four[1] + four[3]

    def close(x, y):
        return abs(float(x) - float(y)) < 1e-6

    if not close(loss(*four, 0.2), torch.log1p(torch.exp(-0.2 * gap)).mean()):
        return False
    far = torch.tensor([[-9000.0], [0.0], [0.0], [0.0]]).double()
    if not close(loss(*far, 0.2), 1800):
        return False
    for position, sign in ((0, -1), (1, 1)):
        leaves = [x.clone().requires_grad_() for x in four]
        loss(*leaves, 0.2).backward()
        slope = leaves[position].grad
        push = 0.2 * torch.sigmoid(-0.2 * gap) / 3
        if slope is None or not torch.allclose(slope, sign * push):
            return False
    return True


def dpo_loss_is_sound__by_names(loss):
    both = torch.tensor([[5e3, -5e3, 1, 0], [4, 2, 0, 3.0]])
    chosen, other = (x.requires_grad_() for x in both)
    refs = torch.tensor([[3.0, 1, 0, 2], [-1, 2, 4, 0]])
    names = ("policy_chosen_logps", "policy_rejected_logps")
    names += ("ref_chosen_logps", "ref_rejected_logps")
    found = loss(**dict(zip(names, (chosen, other, *refs), strict=True)), beta=0.3)
    gap = (chosen - refs[0]) - (other - refs[1])
    due = torch.nn.functional.softplus(-0.3 * gap).mean()
    if found.shape != due.shape or not torch.allclose(found, due):
        return False
    slopes = (
        torch.autograd.grad(
            value, (chosen, other), allow_unused=True, retain_graph=True
        )
        for value in (found, due)
    )
    pairs = zip(*slopes, strict=True)
    return all(one is not None and torch.allclose(one, other) for one, other in pairs)


def dpo_loss_is_sound__against_a_healthy_one(loss):
    generator = torch.Generator().manual_seed(1)
    four = 300 * torch.randn(4, 60, generator=generator) - 900

    def outcome(function):
        leaves = [x.clone().requires_grad_() for x in four]
        value = function(*leaves, 0.5)
        value.backward()
        slopes = [torch.zeros(60) if x.grad is None else x.grad for x in leaves[:2]]
        return torch.cat([value.reshape(1), *slopes])

    healthy = outcome(SOUND["loss"][1])
    return bool(torch.allclose(outcome(loss), healthy, atol=1e-6))


def response_logprobs_are_sound__against_a_healthy_one(function):
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(2, 9, (4, 8), generator=generator)
    mask = torch.zeros_like(labels)
    for row, (start, stop) in enumerate([(3, 6), (1, 8), (5, 6), (2, 4)]):
        mask[row, start:stop] = 1
        labels[row, stop - 1], labels[row, stop:] = 1, 0
    logits = torch.randn(4, 8, 9, generator=generator)
    right = SOUND["logprobs"][1](logits, labels, mask)
    return torch.allclose(function(logits, labels, mask), right)  # float32 already


def response_logprobs_are_sound__by_a_table(function):
    """The same model for every position but one: chances that a person can add up."""
    chances = torch.tensor([0.1, 0.2, 0.3, 0.4]).double().repeat(2, 5, 1)
    chances[:, 2] = torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
    labels = torch.tensor([[2, 3, 2, 3, 1], [3, 2, 1, 0, 0]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]])
    right = torch.tensor([0.3 * 0.1 * 0.2, 0.3 * 0.2]).log().double()
    found = function(chances.log() + 1.5, labels, mask)
    return bool((found - right).abs().max() < 1e-5)
