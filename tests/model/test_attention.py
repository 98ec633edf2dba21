"""Which of PyTorch's kernels attention is computed by."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from beamtrain.model import attention


@pytest.mark.parametrize("allowed", [True, False])
def test_on_a_gpu_no_plan_is_built_for_every_shape(allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, used = attention.scaled_dot_product_attention, []

    def noted(*args: Tensor, **kwargs: bool) -> Tensor:
        used.append(torch.backends.cuda.cudnn_sdp_enabled())
        return kernel(*args, **kwargs)

    monkeypatch.setattr(attention, "scaled_dot_product_attention", noted)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(allowed)
    try:
        with FakeTensorMode():
            queries = torch.empty(2, 4, 3, 8, device="cuda")
            assert attention.attend(queries, queries, queries).shape == (2, 4, 3, 8)
        assert torch.backends.cuda.cudnn_sdp_enabled() == allowed  # as the user has it
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
    assert used == [False]
