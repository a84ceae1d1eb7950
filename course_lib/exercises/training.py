"""Chapter 07: the tree of sentences, the mask of a shared row, sums, and PPO's loss."""

import torch

from course_lib.baselines import clipped_policy_loss
from course_lib.batches import part_mask, sum_by_owner
from course_lib.exercises.specification import (
    Check,
    Draw,
    Exercise,
    Misconception,
    agrees,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.observing import Call
from course_lib.worlds import sentence_logps

# Chances of two words and, last, of the end: after nothing, then after either word.
FIRST = [[0.5, 0.3, 0.2]]
SECOND = [[0.6, 0.3, 0.1], [0.25, 0.35, 0.4]]


def _tree(draw: Draw, *levels: list, **kwargs) -> Call:
    return Call(([draw.tensor(level).log() for level in levels],), **kwargs)


def _drawn_tree(draw: Draw, words: int, depths: int, *prompts: int) -> Call:
    shapes = [(*prompts, words**depth, words + 1) for depth in range(depths)]
    levels = [draw.normal(*shape, scale=2).log_softmax(-1) for shape in shapes]
    return Call((levels,), gradient=True)


def _hopeless_tree(draw: Draw) -> Call:
    sure = [[0.0, -2000.0, -2000.0]]
    return Call(([draw.tensor(sure), draw.tensor(sure * 2)],), gradient=True)


def _sums_to_one(call: Call, yours, ours, near: float) -> bool:
    chances = torch.tensor(yours.numbers, dtype=torch.float64).exp()
    return len(chances) == len(ours.numbers) and abs(chances.sum() - 1) <= near


def _walk(join=torch.add, start=0.0, words=slice(-1), end=-1, turn=False, gather=None):
    """Down the tree, with one thing wrong."""

    def logps(levels):
        so_far, ended = torch.full_like(levels[0][..., 0], start), []
        for level in levels:
            ended.append(join(so_far, level[..., end]))
            grown = join(so_far[..., None], level[..., words])
            so_far = (grown.mT if turn else grown).flatten(-2)
        return torch.cat(gather(ended, so_far) if gather else [*ended, so_far], -1)

    return logps


def _logs_of_products(levels):
    chances = [level.exp() for level in levels]
    return _walk(torch.mul, start=1.0)(chances).log()


def _forced_end_paid(levels):
    logps, last = sentence_logps(levels), levels[-1]
    forced = last[..., -1].repeat_interleave(last.shape[-1] - 1, -1)
    ended = logps[..., : -forced.shape[-1]]
    return torch.cat([ended, logps[..., -forced.shape[-1] :] + forced], -1)


def _per_token(levels):
    words = levels[0].shape[-1] - 1
    said = [words**depth * [depth + 1] for depth in range(len(levels))]
    said.append(words ** len(levels) * [len(levels)])
    logps = sentence_logps(levels)
    return logps / logps.new_tensor(sum(said, []))


_SENTENCES = Exercise(
    number="7.1",
    title="Every sentence of a tree",
    reference=sentence_logps,
    checks=(
        Check(
            "one number for each sentence, after each prompt, with a gradient",
            lambda draw: [
                _tree(draw, FIRST, gradient=True),
                _tree(draw, FIRST, SECOND, gradient=True),
                _tree(draw, [FIRST] * 2, [SECOND] * 2, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "chances that sum to 1 over all sentences",
            lambda draw: [_tree(draw, FIRST), _tree(draw, FIRST, SECOND)],
            "be log-probabilities whose probabilities sum to 1: every sentence ends, and "
            "pays once for each token that was chosen",
            _sums_to_one,
        ),
        Check(
            "the end at once, then each word alone",
            lambda draw: [_tree(draw, FIRST)],
            value_of,
        ),
        Check(
            "sentences by length, then by their first word, then by their second",
            lambda draw: [_tree(draw, FIRST, SECOND)],
            value_of,
        ),
        Check(
            "finite for a sentence that is given no chance",
            lambda draw: [_hopeless_tree(draw)],
            "be −2000 for each word of no chance and for each end of none",
        ),
        Check(
            "right on fresh random trees",
            lambda draw: [
                _drawn_tree(draw, 2, 3),
                _drawn_tree(draw, 3, 2, 2),
                _drawn_tree(draw, 1, 4, 3),
            ],
            "equal the sum of the log-probabilities along each sentence's path",
        ),
    ),
    misconceptions=(
        Misconception(
            "longest left out",
            _walk(gather=lambda ended, so_far: ended),
            "only the sentences that chose to end: those of the last level are made to "
            "end, and count as well",
        ),
        Misconception(
            "forced end paid",
            _forced_end_paid,
            "the longest sentences pay for their end: it is forced, so that its chance "
            "is 1 and its log-probability 0",
        ),
        Misconception(
            "last token alone",
            _walk(join=lambda so_far, step: 0 * so_far + step),
            "the log-probability of the last token alone: a sentence pays for every "
            "token on its path",
        ),
        Misconception(
            "products of logarithms",
            _walk(torch.mul, start=1.0),
            "log-probabilities multiplied: the logarithm of a product is a sum",
        ),
        Misconception(
            "probabilities",
            lambda levels: sentence_logps(levels).exp(),
            "probabilities in place of their logarithms: those of long texts round to 0",
        ),
        Misconception(
            "average per token",
            _per_token,
            "the mean over a sentence's tokens: such numbers are no log-probabilities, "
            "they do not sum to 1",
        ),
        Misconception(
            "end first",
            _walk(words=slice(1, None), end=0),
            "the first column read as the end: the end stands last, after the words",
        ),
        Misconception(
            "longest first",
            _walk(gather=lambda ended, so_far: [so_far, *ended[::-1]]),
            "the longest sentences in front: the empty one comes first",
        ),
        Misconception(
            "last word first",
            _walk(turn=True),
            "sentences sorted by their last word: all that begin alike stand together, "
            "as the prefixes of the next level do",
        ),
        Misconception(
            "logarithm of a product",
            _logs_of_products,
            "probabilities multiplied and then their logarithm, which is −∞ once the "
            "product rounds to 0: add logarithms",
        ),
    ),
    hints=(
        "Walk down level by level and carry one number a prefix: the log-probability of "
        "having come so far. Before the first level it is 0.",
        "At each level the prefix plus the end's column is a finished sentence; the "
        "prefix plus each word's column are the prefixes of the next level.",
        "`so_far = (so_far[..., None] + level[..., :-1]).flatten(-2)`; the last so_far "
        "are sentences too.",
    ),
)


def _parts(*rows: list[int]) -> Call:
    return Call((torch.tensor(rows),))


def _drawn_parts(draw: Draw, *sizes: int) -> Call:
    """Three rows of 9 tokens: a prompt and two or three responses of any length."""
    rows = []
    for parts in sizes:
        cuts = 1 + draw.permutations(1, 8)[0, : parts - 1].sort().values
        rows.append([int((cuts <= place).sum()) for place in range(9)])
    return _parts(*rows)


def _grid_of(call: Call, ours) -> str:
    """Small masks as they stand."""
    rows, time, _ = ours.shape
    grids = torch.tensor(ours.numbers).int().reshape(rows, time, time).tolist()
    return f"be {', then '.join(map(str, grids))}: 1 where a query (row) sees a key"


def _masked(rule, shift=0):
    """A mask from a rule on (query's part, key's part) and the diagonal it starts at."""

    def mask(parts):
        causal = torch.ones(parts.shape[1], parts.shape[1], dtype=torch.bool).tril(
            shift
        )
        return causal & rule(parts[:, :, None], parts[:, None, :])

    return mask


def _either(mine, theirs):
    return (theirs == 0) | (mine == theirs)


def _no_order(parts):
    return _either(parts[:, :, None], parts[:, None, :])


def _prompt_both_ways(parts):
    prompt = parts == 0
    return part_mask(parts) | (prompt[:, :, None] & prompt[:, None, :])


def _first_row_for_all(parts):
    return part_mask(parts[:1]).expand(len(parts), -1, -1).clone()


def _scores_to_add(parts):
    return torch.zeros(()).masked_fill(~part_mask(parts), -torch.inf)


_MASK = Exercise(
    number="7.2",
    title="Who sees whom",
    reference=part_mask,
    checks=(
        Check(
            "True or False for every query and every key of every row",
            lambda draw: [_parts([0, 1, 2]), _parts([0, 0, 1, 2], [0, 1, 1, 2])],
            kind_of,
            returns_like,
        ),
        Check(
            "a lone prompt: each token sees itself and those before it",
            lambda draw: [_parts([0, 0, 0])],
            _grid_of,
        ),
        Check(
            "a response sees its prompt",
            lambda draw: [_parts([0, 0, 1])],
            _grid_of,
        ),
        Check(
            "a response does not see the one before it",
            lambda draw: [_parts([0, 1, 2]), _parts([0, 1, 1, 2])],
            _grid_of,
        ),
        Check(
            "three responses are three strangers",
            lambda draw: [_parts([0, 1, 2, 3])],
            _grid_of,
        ),
        Check(
            "each row by its own parts",
            lambda draw: [_parts([0, 0, 1], [0, 1, 2])],
            _grid_of,
        ),
        Check(
            "right on fresh random rows",
            lambda draw: [_drawn_parts(draw, 3, 3, 4), _drawn_parts(draw, 4, 2, 3)],
            "be True where a key stands at or before its query and in the prompt or in "
            "the query's own part, False elsewhere",
        ),
    ),
    misconceptions=(
        Misconception(
            "plain causal",
            _masked(lambda mine, theirs: (mine >= 0) & (theirs >= 0)),
            "everything before it: the rejected response reads the chosen one, and is "
            "scored as an answer to it",
        ),
        Misconception(
            "prompt unseen",
            _masked(lambda mine, theirs: mine == theirs),
            "its own part alone: a response that cannot see the prompt answers nothing",
        ),
        Misconception(
            "no order",
            _no_order,
            "what comes after it as well: a token that sees the next one need not "
            "predict it",
        ),
        Misconception(
            "prompt both ways",
            _prompt_both_ways,
            "the prompt read in both directions: the model was trained to read forwards",
        ),
        Misconception(
            "self unseen",
            _masked(_either, shift=-1),
            "what stands before it, without itself: a token must know what it is",
        ),
        Misconception(
            "rows and columns exchanged",
            lambda parts: part_mask(parts).mT,
            "keys in the rows: a query is a row, so that the mask fills the lower "
            "triangle",
        ),
        Misconception(
            "True for hidden",
            lambda parts: ~part_mask(parts),
            "True where a key is hidden, as some libraries want it: here True is seen",
        ),
        Misconception(
            "two responses only",
            _masked(lambda mine, theirs: ~((mine == 2) & (theirs == 1))),
            "the first response hidden from the second and from no other: compare the "
            "two parts, whatever their numbers",
        ),
        Misconception(
            "the first row's mask",
            _first_row_for_all,
            "one mask for the whole batch: prompts differ in length, and so do the rows",
        ),
        Misconception(
            "ones and zeros",
            lambda parts: part_mask(parts).float(),
            "numbers in place of truth values: attention adds numbers to its scores, and "
            "hides nothing",
        ),
        Misconception(
            "scores to add",
            _scores_to_add,
            "0 and −∞, which are added to the scores: here the mask is wanted, of bools",
        ),
    ),
    hints=(
        "Two conditions, both for a query in the rows and a key in the columns: one on "
        "where they stand, one on the parts that they belong to.",
        "Where: torch.ones(time, time, dtype=torch.bool).tril(). Parts: the key's is 0, "
        "or the same as the query's.",
        "`query, key = parts[:, :, None], parts[:, None, :]`, then "
        "`(key == 0) | (key == query)`.",
    ),
)


def _tokens(draw: Draw, values: list, owners: list, count: int, **kwargs) -> Call:
    return Call((draw.tensor(values), torch.tensor(owners), count), **kwargs)


def _drawn_tokens(draw: Draw, tokens: int, count: int) -> Call:
    owners = draw.integers(0, count, tokens).long()
    return Call((-2 * draw.uniform(tokens), owners, count), gradient=True)


def _last_wins(values, owners, count):
    sums = list(values.new_zeros(count))
    for value, owner in zip(values, owners.tolist(), strict=True):
        sums[owner] = value
    return torch.stack(sums)


def _means(values, owners, count):
    return sum_by_owner(values, owners, count) / torch.bincount(owners, minlength=count)


def _as_many_as_seen(values, owners, count):
    return sum_by_owner(values, owners, int(owners.max()) + 1)


def _side_by_side(values, owners, count):
    lengths = torch.bincount(owners, minlength=count).tolist()
    return torch.stack([part.sum() for part in values.split(lengths)])


def _logs_of_chances(values, owners, count):
    ones = values.new_ones(count)
    return ones.scatter_reduce(0, owners, values.exp(), "prod").log()


_SUMS = Exercise(
    number="7.3",
    title="Sums by owner",
    reference=sum_by_owner,
    checks=(
        Check(
            "one number for each response, with a gradient",
            lambda draw: [
                _tokens(draw, [-1, -2], [0, 1], 2, gradient=True),
                _tokens(draw, [-1, -2, -4, -8], [0, 0, 0, 1], 2, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "the sum, where a response has two tokens",
            lambda draw: [
                _tokens(draw, [-1, -2], [0, 0], 1),
                _tokens(draw, [-1, -2, -4], [0, 1, 1], 2),
            ],
            value_of,
        ),
        Check(
            "whatever order the tokens come in",
            lambda draw: [
                _tokens(draw, [-1, -2], [1, 0], 2),
                _tokens(draw, [-1, -2, -4, -8], [0, 1, 0, 1], 2),
            ],
            value_of,
        ),
        Check(
            "0 for a response without tokens, also for the last one",
            lambda draw: [
                _tokens(draw, [-1, -2], [0, 2], 3),
                _tokens(draw, [-1, -2], [0, 0], 2),
            ],
            value_of,
        ),
        Check(
            "finite for a token that is given no chance",
            lambda draw: [_tokens(draw, [-1, -2000], [0, 0], 1, gradient=True)],
            value_of,
        ),
        Check(
            "right on fresh random tokens, values and gradients",
            lambda draw: [_drawn_tokens(draw, 5, 3), _drawn_tokens(draw, 40, 7)],
            "equal, for each response, the sum of its tokens' values, and so must the "
            "gradient",
        ),
    ),
    misconceptions=(
        Misconception(
            "one token each",
            _last_wins,
            "one token of each response: sums[owners] = values and += write to each "
            "place once, whatever comes twice is lost",
        ),
        Misconception(
            "average",
            _means,
            "the mean over a response's tokens: the log-probability of a whole response "
            "is their sum",
        ),
        Misconception(
            "tokens counted",
            lambda values, owners, count: sum_by_owner(0 * values + 1, owners, count),
            "how many tokens each response has, not what they are worth",
        ),
        Misconception(
            "as many as are seen",
            _as_many_as_seen,
            "as many sums as the largest owner asks for: a response without tokens at "
            "the end is lost. Use count",
        ),
        Misconception(
            "side by side",
            _side_by_side,
            "the first tokens to the first response, the next to the second: owners "
            "says to whom each belongs, in any order",
        ),
        Misconception(
            "equal lengths",
            lambda values, owners, count: values.reshape(count, -1).sum(1),
            "as many tokens for each response: they differ in length, which is why there "
            "are owners",
        ),
        Misconception(
            "no gradient",
            lambda values, owners, count: torch.bincount(
                owners, values.detach(), minlength=count
            ).to(values.dtype),
            "right numbers that carry no gradient: bincount is for counting, and through "
            "it nothing can be learnt",
        ),
        Misconception(
            "probabilities",
            lambda values, owners, count: sum_by_owner(values, owners, count).exp(),
            "probabilities in place of their logarithms: those of long texts round to 0",
        ),
        Misconception(
            "logarithm of a product",
            _logs_of_chances,
            "probabilities multiplied and then their logarithm, which is −∞ once the "
            "product rounds to 0: add logarithms",
        ),
    ),
    hints=(
        "Begin with a zero for each response, and add each token's value at its owner's "
        "place: every one, also where an owner comes twice.",
        "`sums[owners] += values` reads all places before it writes any. torch has a "
        "function that adds at indices one after the other, with a gradient.",
        "`values.new_zeros(count).index_add(0, owners, values)`",
    ),
)


def _steps(draw: Draw, ratios: list, advantages: list, clip=0.2, **kwargs) -> Call:
    """Responses by the ratio of their chances, new to old."""
    old = draw.tensor([-3.0 - place for place in range(len(ratios))])
    logps = old + draw.tensor(ratios).log()
    return Call((logps, old, draw.tensor(advantages), clip), **kwargs)


def _drawn_steps(draw: Draw, count: int, clip: float) -> Call:
    old = draw.normal(count, scale=4) - 20
    logps = old + draw.normal(count, scale=0.4)
    return Call((logps, old, draw.normal(count), clip), gradient=True)


def _learns_alike(call: Call, yours, ours, near: float) -> bool:
    """The policy's gradient counts; whatever reaches the other two is not used."""
    yours, ours = (
        type(seen)(**{**vars(seen), "gradients": seen.gradients[:1]})
        for seen in (yours, ours)
    )
    return agrees(call, yours, ours, near)


def _clipped(
    ratio=lambda new, old: (new - old).exp(),
    keep=lambda ratio, clip: ratio.clamp(1 - clip, 1 + clip),
    choose=torch.minimum,
    reduce=lambda gains: -gains.mean(),
):
    """PPO's loss with one thing wrong."""

    def loss(logps, old_logps, advantages, clip=0.2):
        rho = ratio(logps, old_logps)
        return reduce(choose(rho * advantages, keep(rho, clip) * advantages))

    return loss


def _log_ratio_clamped(logps, old_logps, advantages, clip=0.2):
    step = logps - old_logps
    held = step.clamp(-clip, clip).exp()
    return -torch.minimum(step.exp() * advantages, held * advantages).mean()


def _gain_clamped(logps, old_logps, advantages, clip=0.2):
    gain = (logps - old_logps).exp() * advantages
    return -torch.minimum(gain, gain.clamp(1 - clip, 1 + clip)).mean()


def _min_of_means(logps, old_logps, advantages, clip=0.2):
    ratio = (logps - old_logps).exp()
    kept = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum((ratio * advantages).mean(), (kept * advantages).mean())


_CLIPPED = Exercise(
    number="7.4",
    title="PPO's loss on whole responses",
    reference=clipped_policy_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                _steps(draw, [1.1], [1], gradient=True),
                _steps(draw, [1.1, 0.9], [1, -0.5], gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "minus the mean advantage before the policy has moved",
            lambda draw: [_steps(draw, [1], [3]), _steps(draw, [1, 1], [3, -0.5])],
            value_of,
        ),
        Check(
            "minus the ratio times the advantage for a small step",
            lambda draw: [_steps(draw, [1.1], [2]), _steps(draw, [0.9], [-2])],
            value_of,
        ),
        Check(
            "no more gain for going further than the clip",
            lambda draw: [
                _steps(draw, [2], [1]),
                _steps(draw, [0.25], [-1]),
                _steps(draw, [2], [1], clip=0.1),
            ],
            value_of,
        ),
        Check(
            "the whole price of a step the wrong way, however far",
            lambda draw: [_steps(draw, [2], [-1]), _steps(draw, [0.25], [1])],
            value_of,
        ),
        Check(
            "the mean over responses, each clipped on its own",
            lambda draw: [_steps(draw, [2, 2], [1, -1])],
            value_of,
        ),
        Check(
            "right on fresh random responses, values and gradients",
            lambda draw: [
                _drawn_steps(draw, 1, 0.2),
                _drawn_steps(draw, 5, 0.1),
                _drawn_steps(draw, 30, 0.3),
            ],
            "equal minus the mean of the smaller of ρA and clip(ρ)A, and so must its "
            "gradient for the policy",
            _learns_alike,
        ),
    ),
    misconceptions=(
        Misconception(
            "no minus sign",
            _clipped(reduce=lambda gains: gains.mean()),
            "the gain itself: it is to be made large, a loss is made small",
        ),
        Misconception(
            "sum in place of mean",
            _clipped(reduce=lambda gains: -gains.sum()),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "log-probability times advantage",
            lambda logps, old_logps, advantages, clip=0.2: -(logps * advantages).mean(),
            "REINFORCE: the same gradient before the first step, and after it no notion "
            "of how far the policy has gone",
        ),
        Misconception(
            "difference in place of ratio",
            _clipped(ratio=lambda new, old: new - old),
            "the difference of log-probabilities: it is the logarithm of the ratio, and "
            "wants an exp",
        ),
        Misconception(
            "ratio of log-probabilities",
            _clipped(ratio=lambda new, old: new / old),
            "one log-probability divided by the other: divide probabilities, which is to "
            "subtract their logarithms and then exp",
        ),
        Misconception(
            "ratio upside down",
            _clipped(ratio=lambda new, old: (old - new).exp()),
            "old over new: the ratio grows with what the trained policy likes better",
        ),
        Misconception(
            "never clipped",
            _clipped(keep=lambda ratio, clip: ratio),
            "no clip: one batch of samples could be followed to any distance",
        ),
        Misconception(
            "clipped without a minimum",
            _clipped(choose=lambda gain, kept: kept),
            "the clipped ratio alone: a response that went the wrong way far enough "
            "gets no gradient and never comes back",
        ),
        Misconception(
            "maximum in place of minimum",
            _clipped(choose=torch.maximum),
            "the larger of the two: the clip must take gains away and leave losses",
        ),
        Misconception(
            "0.2 whatever is asked for",
            _clipped(keep=lambda ratio, clip: ratio.clamp(0.8, 1.2)),
            "a clip of 0.2 whatever is asked for: it is an argument",
        ),
        Misconception(
            "log-ratio clipped",
            _log_ratio_clamped,
            "the log-ratio held within ± clip: close for small clips, but it is the "
            "ratio that stays within 1 ± clip",
        ),
        Misconception(
            "gain clipped",
            _gain_clamped,
            "ratio times advantage held within 1 ± clip: only the ratio is, before it "
            "meets the advantage",
        ),
        Misconception(
            "minimum of the means",
            _min_of_means,
            "one minimum for the batch: each response is to be clipped on its own, then "
            "the mean taken",
        ),
    ),
    hints=(
        "Three lines: the ratio of probabilities from two log-probabilities, the same "
        "ratio held within 1 ± clip, and the smaller of the two gains.",
        "ratio = exp(logps − old_logps); clamp holds it; torch.minimum compares both "
        "times the advantage, response by response.",
        "`-torch.minimum(ratio * advantages, kept * advantages).mean()`",
    ),
)

EXERCISES = (_SENTENCES, _MASK, _SUMS, _CLIPPED)
