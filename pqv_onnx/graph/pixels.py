"""The uint8 front end: raw pixels in, the bits of the float front end out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class PixelLookup(nn.Module):
    """Pixels to the first int8 activation by a 256-entry table per channel.

    The table holds ``quantize(normalise(pixel / 255))``, computed for each of the 256 values
    in the float32 steps of the usual transforms (divide by 255, subtract the mean, divide by
    the standard deviation). So a model with this front end gives the very bits of the model
    with the float front end, and mean and std are folded in without any loss.
    """

    table: torch.Tensor
    offset: torch.Tensor

    def __init__(
        self, scale: float, mean: Sequence[float], std: Sequence[float], channels_last: bool
    ) -> None:
        """Build the table.

        Args:
            scale: step of the first int8 activation.
            mean: per channel, of pixels in [0, 1].
            std: per channel.
            channels_last: whether the uint8 input is NHWC, not NCHW.
        """
        super().__init__()
        self.channels_last = channels_last
        pixel = torch.arange(256, dtype=torch.uint8).to(torch.float32).div(255)
        channels = [
            (pixel - torch.tensor(m, dtype=torch.float32)) / torch.tensor(s, dtype=torch.float32)
            for m, s in zip(mean, std, strict=True)
        ]
        table = torch.ops.pqv.quantize_linear(torch.cat(channels), scale)
        offset = 256 * torch.arange(len(mean), dtype=torch.int32)
        self.register_buffer("table", table.unsqueeze(1))
        self.register_buffer("offset", offset.reshape(-1, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map uint8 pixels [B, C, H, W] or [B, H, W, C] to int8 [B, C, H, W]."""
        if self.channels_last:
            pixels = pixels.permute(0, 3, 1, 2)
        # An embedding, because indexing would be exported as GatherND, which wants int64.
        return nn.functional.embedding(pixels.to(torch.int32) + self.offset, self.table).squeeze(-1)
