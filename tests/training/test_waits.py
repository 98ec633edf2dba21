"""What a training step asks of a GPU, for which the host would have to wait: found on the meta device, which has no
values to tell, and by counting."""

import math
from types import SimpleNamespace

import pytest
import torch
from batches import batch_of
from networks import each_network, small
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from beamtrain.data.batch import Batch
from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.aligned_cross_entropy import AlignedCrossEntropy
from beamtrain.objectives.losses.bag_of_tokens import BagOfTokens
from beamtrain.objectives.losses.descendant_credit import DescendantCredit
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.losses.gold_margin import GoldMargin
from beamtrain.objectives.losses.minimum_risk import MinimumRisk
from beamtrain.objectives.losses.optimal_completion import OptimalCompletion
from beamtrain.objectives.losses.optimal_transport import OptimalTransport
from beamtrain.objectives.losses.position_cross_entropy import PositionCrossEntropy
from beamtrain.objectives.losses.soft_survival import SoftSurvival
from beamtrain.objectives.rewards.linear_bleu import LinearBleu
from beamtrain.objectives.soft_teacher_forcing import SoftTeacherForcing
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.search.unroll import log_probs
from beamtrain.search.unroll.options import UnrollOptions
from beamtrain.training.callbacks import stop_on_signal
from beamtrain.training.callbacks.bad_steps import BAD_STEPS, BadSteps
from beamtrain.training.module import TranslationModule

V = 12
PAIRS = [([5, 6, 7], [8, 9, 10]), ([4], [10]), ([9, 9], [7, 5])]


class Waits(TorchDispatchMode):
    """Values that are read back, answered with 1, and copies from the host's memory, on the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.found, self._numbers = [], Numbers(self)

    def __enter__(self):
        self._numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._numbers.__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        on_host = [each for each in tree_leaves(args) if isinstance(each, torch.Tensor) and each.device.type == "cpu"]
        if function is torch.ops.aten._local_scalar_dense.default and not on_host:
            self.found.append("a value")
            return 1.0
        result = function(*args, **(kwargs or {}))
        if any(each.dim() for each in on_host) and isinstance(result, torch.Tensor) and result.device.type == "meta":
            self.found.append(f"a copy by {function}")
        return result


class Numbers(TorchFunctionMode):
    """Python's numbers that are brought to the device, beneath the other mode's notice."""

    def __init__(self, waits) -> None:
        super().__init__()
        self._waits = waits

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor) and result.device.type == "meta":
            self._waits.found.append(f"a copy by {function.__name__}")
        return result


def waits_of_a_step(kind, objective):
    """What a training step of one batch waits for, after a first one."""
    module = TranslationModule(small(kind, V, layers=1).train(), objective).to("meta")
    rates = SimpleNamespace(param_groups=[{"lr": 0.1}])
    module._trainer = SimpleNamespace(
        world_size=1,
        accumulate_grad_batches=1,
        global_step=5,
        log_every_n_steps=5,
        is_last_batch=True,
        optimizers=[rates],
    )
    module.log = lambda name, value: None if isinstance(value, torch.Tensor) else torch.tensor(value, device="meta")
    batch = batch_of(PAIRS).to("meta")
    module.network.decode(module.network.encode_counted(batch.source, batch.source_lengths), batch.target_in)
    with Waits() as waits:
        module.training_step(batch, 0).backward()
        module.configure_gradient_clipping(torch.optim.SGD(module.parameters()))
    return waits.found


LOSSES = [ExpectedReward(), ExpectedReward(LinearBleu()), MinimumRisk(), PositionCrossEntropy(), OptimalCompletion(),
          OptimalCompletion("any"), GoldMargin(), SoftSurvival(), SoftSurvival("reference", "put_back", rivals=1),
          DescendantCredit(), AlignedCrossEntropy(), OptimalTransport(iterations=3), BagOfTokens()]  # fmt: skip


def test_a_teacher_forced_step_waits_for_its_gradient_norm_alone():
    for objective in (TeacherForcing(), SoftTeacherForcing(OptimalTransport(iterations=3), candidates=4)):
        assert waits_of_a_step("transformer", objective) == ["a value"]


@pytest.mark.parametrize(
    "loss, selection, dropout",
    [
        *((loss, "straight_through", False) for loss in LOSSES),
        (ExpectedReward(), "straight_through", True),
        (MinimumRisk(), "hard", False),
        (PositionCrossEntropy(), "soft", False),
    ],
)
def test_a_step_with_the_search_in_the_loop_does_too(loss, selection, dropout):
    objective = BeamTraining(loss, unroll=UnrollOptions(2, 8, selection), dropout=dropout, margin=1)
    assert waits_of_a_step("transformer", objective) == ["a value"]


@pytest.mark.parametrize(
    "options",
    [
        UnrollOptions(2, 8, undecided=0.5),
        UnrollOptions(2, 8, "soft", ("embeddings", "ancestry"), window=2, snapping=0.25),
    ],
)
def test_nor_do_its_options_wait(options):
    assert waits_of_a_step("transformer", BeamTraining(ExpectedReward(), unroll=options, margin=1)) == ["a value"]


@pytest.mark.parametrize(
    "objective",
    [TeacherForcing(), BeamTraining(ExpectedReward(), unroll=UnrollOptions(2, 8), margin=1)],
)
def test_a_recurrent_network_only_says_in_which_order_it_packs_its_rows(objective):
    """A copy from page-locked memory, for which nothing waits."""
    found = waits_of_a_step("gru", objective)
    assert found.count("a value") == 1 and set(found) <= {"a value", "a copy by aten._to_copy.default"}


@each_network
@pytest.mark.parametrize(
    "loss, selection",
    [
        pytest.param(loss, selection, id=f"{type(loss).__name__}-{selection}")
        for loss in LOSSES
        for selection in (["hard"] if loss.reads_hard_prefixes else ["straight_through", "hard"])
    ],
)
def test_what_is_not_asked_changes_nothing(kind, selection, loss, monkeypatch):
    """The ways that a GPU goes, on the CPU."""
    network, batch = small(kind, V, seed=1), batch_of(PAIRS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    network.double()
    objective = BeamTraining(loss, unroll=UnrollOptions(3, 8, selection))

    def found():
        mean, figures = objective.part(network, batch)
        return mean, figures["reward"], torch.autograd.grad(mean, list(network.parameters()), allow_unused=True)

    expected = found()
    for module in ("model.slots", "search.unroll.chain", "search.unroll.prefix_tree", "search.unroll.softmax_gradient"):
        monkeypatch.setattr(f"beamtrain.{module}.may_wait", lambda tensor: False)
    torch.testing.assert_close(found(), expected, rtol=1e-7, atol=1e-9)


def test_processes_cast_their_ballot_and_read_it_after_the_step(monkeypatch):
    last, ballots = SimpleNamespace(due=False, save_if_due=lambda trainer: setattr(last, "due", False)), []

    def all_reduce(ballot, operation):
        ballots.append(ballot.item())
        ballot.fill_(15)

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    window = iter([False, False, True, True])  # the second of two batches ends a step
    monkeypatch.setattr(stop_on_signal, "is_between_steps", lambda trainer: next(window))
    module = SimpleNamespace(device=torch.device("cpu"))
    trainer = SimpleNamespace(world_size=2, is_global_zero=False, global_step=7)
    callback = stop_on_signal.StopOnSignal(last)
    callback.on_train_start(trainer, module)
    try:
        callback.on_train_batch_start(trainer, module, None, 0)
        callback.on_train_batch_end(trainer, module, None, None, 0)
        assert not ballots
        with Reads() as reads:
            callback.on_train_batch_start(trainer, module, None, 1)
        assert ballots == [0] and reads.count == 1  # that of this test
        with pytest.raises(stop_on_signal.Interrupted, match="stopped by SIGTERM after step 7"):
            callback.on_train_batch_end(trainer, module, None, None, 1)
    finally:
        callback.on_train_end(trainer, module)


class Reads(TorchDispatchMode):
    """How many values are read."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_the_count_of_bad_steps_is_made_on_the_device(monkeypatch):
    monkeypatch.setattr("beamtrain.training.callbacks.bad_steps.is_between_steps", lambda trainer: True)
    logged = {}
    module = SimpleNamespace(device=torch.device("meta"), skipped_step=False, log=logged.__setitem__)
    batch = batch_of(PAIRS).to("meta")
    callback, trainer = BadSteps(20, None, {}), SimpleNamespace(current_epoch=0, global_step=1)
    with Waits() as waits:
        callback.on_train_batch_start(trainer, module, batch, 0)
        callback.on_train_batch_end(trainer, module, None, batch, 0)
    assert logged[BAD_STEPS].device.type == "meta" and not waits.found


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_batch_is_copied_while_the_gpu_still_computes(device, monkeypatch):
    calls = []
    monkeypatch.setattr(Batch, "to", lambda self, *place, **how: calls.append((*place, how)))
    module = TranslationModule(small("transformer", V, layers=1))
    module.transfer_batch_to_device(batch_of(PAIRS), torch.device(device), 0)
    assert calls == [(torch.device(device), {"non_blocking": device == "cuda"})]


class Largest(TorchDispatchMode):
    """The number of entries of the largest tensor that is made."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.entries = max([self.entries, *(x.numel() for x in tree_leaves(result) if isinstance(x, torch.Tensor))])
        return result


@each_network
def test_validation_never_holds_all_logits(kind, monkeypatch):
    wide = 2000
    network, batch = small(kind, wide, layers=1), batch_of([([5, 6, 7], [*range(5, 45)]) for _ in range(8)])
    module = TranslationModule(network)
    module._development_set = SimpleNamespace(translated=lambda trainer, network: {})
    module._trainer = SimpleNamespace(sanity_checking=False)
    monkeypatch.setattr(log_probs, "_AT_ONCE", 2**15)
    module.on_validation_epoch_start()
    with torch.inference_mode(), Largest() as largest:
        module.validation_step(batch)
    logits = network.logits(network.decode(network.encode(batch.source), batch.target_in)).flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, batch.target_out.flatten(), reduction="sum")
    assert module._nll.item() == pytest.approx(expected.item(), rel=1e-4) and module._tokens == 8 * 41
    assert largest.entries <= 2**15 < math.prod(logits.shape) / 10
