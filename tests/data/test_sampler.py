"""The plan of an epoch: every pair once, batches within budget, equal shares, and a position that resumes."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beamtrain.base.errors import UserError
from beamtrain.data.sampler import EpochSampler, plan_batches

BUDGET = 120


def lengths(rows: int, seed: int = 0, longest: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Source and target lengths that go together as those of translations do, a few of them very short or long."""
    random = np.random.default_rng(seed)
    source = np.clip(random.lognormal(2.4, 0.6, rows).astype(int), 1, longest)
    return source, np.clip((source * random.normal(1.05, 0.15, rows)).astype(int), 1, longest)


def sampler(rows: int = 150, **settings) -> EpochSampler:
    return EpochSampler(*lengths(rows), **{"batch_tokens": BUDGET, "seed": 7, **settings})


def take(one: EpochSampler, most: int | None = None) -> list[list[int]]:
    """Train on the next batches, as a loader would, to the end of the epoch or `most` of them."""
    one.start_epoch()
    taken = []
    for number, (_, rows) in enumerate(one):
        if number == most:
            break
        one.advance()
        taken.append(rows.tolist())
    return taken


def rows_of(batches: list[list[int]]) -> list[int]:
    return sorted(row for batch in batches for row in batch)


@given(rows=st.integers(4, 300), seed=st.integers(0, 50), world_size=st.integers(1, 4), budget=st.integers(40, 500))
def test_every_row_once_and_within_budget(rows, seed, world_size, budget):
    source, target = lengths(rows, seed)
    order = np.random.default_rng(seed).permutation(rows)
    batches = plan_batches(source, target, batch_tokens=budget, world_size=world_size, order=order)
    assert sorted(np.concatenate(batches)) == list(range(rows))
    for number, batch in enumerate(batches):
        longest = max(source[batch].max(), target[batch].max())
        shares = [len(batch[rank::world_size]) for rank in range(world_size)]
        assert min(shares) >= 1
        last = number == len(batches) - 1
        assert max(shares) * longest <= budget + last * longest


@given(rows=st.integers(16, 300), seed=st.integers(0, 50), budget=st.integers(160, 500))
def test_two_processes_train_on_the_batches_of_one_with_twice_the_budget(rows, seed, budget):
    source, target = lengths(rows, seed)
    order = np.random.default_rng(seed).permutation(rows)
    one, two = (
        plan_batches(source, target, batch_tokens=budget * 2 // size, world_size=size, order=order) for size in (1, 2)
    )
    together = max(0, min(len(one), len(two)) - 2)  # a rest of one row, at the very end, cannot be shared by two
    assert all((a == b).all() for a, b in zip(one[:together], two[:together], strict=True))
    assert abs(len(one) - len(two)) <= 1


def test_padding_is_small():
    source, target = lengths(20_000, longest=200)
    batches = plan_batches(source, target, batch_tokens=4096, world_size=1, order=np.arange(20_000))
    cells = sum(len(batch) * (source[batch].max() + target[batch].max()) for batch in batches)
    assert 1 - (source.sum() + target.sum()) / cells < 0.1


def test_a_row_longer_than_the_budget_is_a_batch_of_its_own():
    batches = plan_batches(
        np.array([5, 900, 5]), np.array([5, 5, 5]), batch_tokens=20, world_size=1, order=np.arange(3)
    )
    assert sorted(map(sorted, batches)) == [[0, 2], [1]]


def test_rows_that_fit_together_are_one_batch():
    assert len(plan_batches(*lengths(13), batch_tokens=4096, world_size=1, order=np.arange(13))) == 1


def test_more_processes_than_rows():
    with pytest.raises(UserError, match="2 sentence pairs cannot be shared by 3 processes"):
        plan_batches(*lengths(2), batch_tokens=50, world_size=3, order=np.arange(2))


def test_the_seed_and_the_epoch_fix_the_order():
    one, same, other = sampler(), sampler(), sampler(seed=8)
    first, second = take(one), take(one)
    assert [take(same), take(same)] == [first, second]
    assert first != second
    assert take(other) != first
    assert rows_of(first) == rows_of(second) == list(range(150))


def test_every_epoch_has_as_many_batches_as_announced():
    one = sampler()
    for _ in range(4):
        announced = len(one)
        assert len(take(one)) == announced == len(one)


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_an_epoch(world_size):
    ranks = [sampler(rank=rank, world_size=world_size) for rank in range(world_size)]
    shares = [take(rank) for rank in ranks]
    assert len({len(share) for share in shares}) == 1
    assert rows_of([batch for share in shares for batch in share]) == list(range(150))


def test_it_resumes_after_any_batch():
    whole = sampler()
    batches = [*take(whole), *take(whole)]
    for done in range(len(batches)):
        before, after = sampler(), sampler()
        taken = take(before, done)
        if len(taken) < done:
            taken += take(before, done - len(taken))
        assert taken == batches[:done]
        after.load_state_dict(json.loads(json.dumps(before.state_dict())))
        rest = take(after)
        assert rest and rest == batches[done : done + len(rest)]
        assert (done + len(rest)) % (len(batches) // 2) == 0


def test_looking_ahead_does_not_move_it():
    one = sampler()
    one.start_epoch()
    ahead = iter(one)
    for _ in range(5):
        next(ahead)
    assert one.state_dict() == sampler().state_dict()


@given(
    stretches=st.lists(st.tuples(st.integers(1, 3), st.sampled_from([BUDGET, 200]), st.integers(0, 6)), max_size=4),
    last=st.integers(1, 3),
)
@example(stretches=[(1, BUDGET, 3), (2, BUDGET, 2), (2, 200, 6), (3, 200, 1)], last=3)  # two pairs are left for three
def test_an_epoch_goes_on_under_other_numbers_of_processes(stretches, last):
    seen: list[list[int]] = []
    state = None
    for world_size, budget, most in [*stretches, (last, BUDGET, None)]:
        ranks = [sampler(rank=rank, world_size=world_size, batch_tokens=budget) for rank in range(world_size)]
        before = list(seen)
        for rank in ranks:
            if state is not None:
                rank.load_state_dict(state)
            if 150 - len(rows_of(before)) < world_size:
                with pytest.raises(UserError, match=f"cannot be shared by {world_size} processes; use fewer"):
                    take(rank, most)
                return
            seen += take(rank, most)
        states = [rank.state_dict() for rank in ranks]
        assert all(other == states[0] for other in states)
        state = json.loads(json.dumps(states[0]))
        assert len(ranks[0]) >= sum(stretch["done"] for stretch in state["stretches"])
        if len(rows_of(seen)) == 150:
            break  # the next would begin another epoch
    assert rows_of(seen) == list(range(150))


def test_another_corpus_or_seed_cannot_resume():
    state = sampler().state_dict()
    with pytest.raises(UserError, match="cannot resume: the data had seed 7, now 8"):
        sampler(seed=8).load_state_dict(state)
    with pytest.raises(UserError, match="cannot resume: the data had rows 150, now 149"):
        sampler(149).load_state_dict(state)
