"""The transform under the losses, against autograd's."""

import pytest
import torch

from afx_live.training.audio_losses import square, transform


@pytest.mark.slow
@pytest.mark.parametrize("frames", [15, 16])
def test_transform_and_its_gradient_are_right(frames):
    x = torch.randn(2, 3, frames, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    torch.testing.assert_close(transform(x), torch.view_as_real(torch.fft.rfft(x)))
    torch.testing.assert_close(square(transform(x)), torch.fft.rfft(x).abs().square())
    assert torch.autograd.gradcheck(transform, (x,))
