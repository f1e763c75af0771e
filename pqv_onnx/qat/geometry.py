"""The sizes and options of a backbone, one frozen and validated class per family."""

from __future__ import annotations

from dataclasses import dataclass

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import MAX_CHANNELS, MAX_K

_MAX_CLASSES = 2**24
_MAX_DEPTH = 1024
"""A depth that no model has."""


@dataclass(frozen=True)
class Geometry:
    """What every family has.

    Attributes:
        architecture: timm's name of the model, or of its family.
        img_size: height and width in pixels, multiples of ``patch_size``.
        patch_size: height and width in pixels.
        in_chans: image channels.
        num_classes: logits.
    """

    architecture: str
    img_size: tuple[int, int]
    patch_size: tuple[int, int]
    in_chans: int
    num_classes: int

    def __post_init__(self) -> None:
        """Check that the numbers fit together."""
        check_size("in_chans", self.in_chans, MAX_K)
        check_size("num_classes", self.num_classes, _MAX_CLASSES)
        for size, patch in zip(self.img_size, self.patch_size, strict=True):
            if patch < 1 or size < patch or size % patch:
                raise PqvError(
                    f"model config: img_size is {self.img_size}, "
                    f"expected a multiple of patch_size {self.patch_size}"
                )
        check_count(
            self.in_chans * self.patch_size[0] * self.patch_size[1], "pixels of a patch", MAX_K
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of the image, vertically and horizontally."""
        height, width = self.img_size
        return (height // self.patch_size[0], width // self.patch_size[1])

    @property
    def num_patches(self) -> int:
        """Tokens made from the image."""
        return self.grid[0] * self.grid[1]


def check_size(name: str, value: int, limit: int) -> None:
    """Raise PqvError unless a field is in [1, limit]."""
    if not 1 <= value <= limit:
        raise PqvError(f"model config: {name} is {value}, expected 1 to {limit}")


def check_count(found: int, what: str, limit: int) -> None:
    """Raise PqvError unless something derived from the fields is at most ``limit``."""
    if found > limit:
        raise PqvError(f"model config: found {found} {what}, expected at most {limit}")


def check_heads(embed_dim: int, num_heads: int) -> None:
    """Raise PqvError unless the heads share the channels evenly."""
    check_size("embed_dim", embed_dim, MAX_CHANNELS)
    check_size("num_heads", num_heads, MAX_CHANNELS)
    if embed_dim % num_heads:
        raise PqvError(
            f"model config: embed_dim is {embed_dim}, expected a multiple of num_heads {num_heads}"
        )


@dataclass(frozen=True)
class VitConfig(Geometry):
    """The geometry of a Vision Transformer.

    Attributes:
        embed_dim: width of the residual stream, a multiple of ``num_heads``.
        depth: blocks.
        num_heads: attention heads.
        mlp_dim: width between the MLP's two layers.
        qkv_bias: whether q, k and v have a bias.
        proj_bias: whether the attention's projection and the MLP have biases.
        layer_scale: whether the blocks scale their branches per channel.
        class_token: whether there is a class token.
        dist_token: whether there is a distillation token, and a head for it.
        reg_tokens: register tokens.
        no_embed_class: whether the prefix tokens lack a positional embedding.
        global_pool: ``token`` or ``avg``.
        fc_norm: whether the final norm comes after an average pooling, not before it.
        norm_eps: epsilon of every LayerNorm.
    """

    embed_dim: int
    depth: int
    num_heads: int
    mlp_dim: int
    qkv_bias: bool = True
    proj_bias: bool = True
    layer_scale: bool = False
    class_token: bool = True
    dist_token: bool = False
    reg_tokens: int = 0
    no_embed_class: bool = False
    global_pool: str = "token"
    fc_norm: bool = False
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        """Check that the numbers fit together."""
        super().__post_init__()
        check_size("depth", self.depth, _MAX_DEPTH)
        check_size("mlp_dim", self.mlp_dim, MAX_K)
        if self.reg_tokens < 0:
            raise PqvError(f"model config: reg_tokens is {self.reg_tokens}, expected 0 or more")
        check_count(self.num_prefix_tokens + self.num_patches, "tokens", MAX_K)
        check_heads(self.embed_dim, self.num_heads)
        if self.global_pool not in ("token", "avg"):
            raise PqvError(
                f"model config: global_pool is {self.global_pool!r}, expected 'token' or 'avg'"
            )
        if self.global_pool == "token" and not self.class_token:
            raise PqvError("model config: global_pool 'token' found without a class token")
        if self.global_pool == "token" and self.fc_norm:
            raise PqvError("model config: fc_norm found with global_pool 'token', expected 'avg'")
        if self.global_pool == "avg" and self.dist_token:
            raise PqvError("model config: global_pool 'avg' found with a distillation token")

    @property
    def num_prefix_tokens(self) -> int:
        """Tokens in front of the patches."""
        return int(self.class_token) + int(self.dist_token) + self.reg_tokens

    @property
    def head_tokens(self) -> int:
        """Feature vectors that the head reads side by side: two with a distillation token."""
        return 2 if self.dist_token else 1

    @property
    def head_features(self) -> int:
        """Inputs of the head."""
        return self.embed_dim * self.head_tokens


@dataclass(frozen=True)
class SwinConfig(Geometry):
    """The geometry of a Swin Transformer.

    Each stage after the first halves the grid of patches and doubles the channels.

    Attributes:
        embed_dim: width of the residual stream in the first stage.
        depths: blocks of each stage.
        num_heads: attention heads of each stage.
        window_size: tokens of a window, vertically and horizontally; a stage whose grid is
            smaller has one window.
        mlp_ratio: width between the MLP's two layers, relative to the stage's channels.
        qkv_bias: whether q, k and v have a bias.
        norm_eps: epsilon of every LayerNorm.
    """

    embed_dim: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    window_size: tuple[int, int]
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Check that the numbers fit together."""
        super().__post_init__()
        stages = len(self.depths)
        if not 1 <= stages <= 16 or len(self.num_heads) != stages:
            raise PqvError(
                f"model config: depths is {self.depths} and num_heads is {self.num_heads}, "
                "expected one of each for 1 to 16 stages"
            )
        if not 0 < self.mlp_ratio <= MAX_K:
            raise PqvError(f"model config: mlp_ratio is {self.mlp_ratio}, expected above 0")
        for window in self.window_size:
            check_size("window_size", window, MAX_K)
        for index, stage in enumerate(self.stages):
            check_size("depths", stage.depth, _MAX_DEPTH)
            check_heads(stage.dim, stage.num_heads)
            check_size("mlp_ratio * dim", stage.mlp_dim, MAX_K)
            check_count(4 * stage.dim, "channels of merged patches", MAX_CHANNELS)
            check_count(stage.window[0] * stage.window[1], "tokens of a window", MAX_K)
            self._check_grid(index, stage)
        check_count(self.num_patches, "tokens", MAX_K)

    def _check_grid(self, index: int, stage: SwinStageConfig) -> None:
        for size, window in zip(stage.grid, stage.window, strict=True):
            if size % window:
                raise PqvError(
                    f"model config: stage {index} has a grid of {stage.grid} patches, expected a "
                    f"multiple of window_size {self.window_size}"
                )
            if size % 2 and index + 1 < len(self.depths):
                raise PqvError(
                    f"model config: stage {index} has a grid of {stage.grid} patches, expected "
                    "even numbers to merge"
                )

    @property
    def stages(self) -> tuple[SwinStageConfig, ...]:
        """The stages in their order."""
        return tuple(
            SwinStageConfig(
                dim=self.embed_dim << index,
                depth=self.depths[index],
                num_heads=self.num_heads[index],
                mlp_dim=int((self.embed_dim << index) * self.mlp_ratio),
                grid=(self.grid[0] >> index, self.grid[1] >> index),
                window=(
                    min(self.window_size[0], self.grid[0] >> index),
                    min(self.window_size[1], self.grid[1] >> index),
                ),
            )
            for index in range(len(self.depths))
        )


@dataclass(frozen=True)
class SwinStageConfig:
    """What a stage's place in a Swin Transformer makes of the model's sizes.

    Attributes:
        dim: width of the residual stream.
        depth: blocks.
        num_heads: attention heads.
        mlp_dim: width between the MLP's two layers.
        grid: tokens, vertically and horizontally.
        window: tokens of a window, vertically and horizontally.
    """

    dim: int
    depth: int
    num_heads: int
    mlp_dim: int
    grid: tuple[int, int]
    window: tuple[int, int]

    def shift(self, block: int) -> tuple[int, int]:
        """How far a block's windows are shifted: every other block's, where there are several."""
        if block % 2 == 0:
            return (0, 0)
        vertical, horizontal = (
            0 if size <= window else window // 2
            for size, window in zip(self.grid, self.window, strict=True)
        )
        return (vertical, horizontal)


GEOMETRIES: dict[str, type[Geometry]] = {"vit": VitConfig, "swin": SwinConfig}
"""The families by the name that a stored config has them under."""
