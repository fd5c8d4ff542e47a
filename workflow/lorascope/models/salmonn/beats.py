"""BEATs: the audio encoder that SALMONN pairs with Whisper.

A port, for inference and training in plain float32, of the model in
https://github.com/microsoft/unilm/tree/master/beats (BEATs: Audio Pre-Training with Acoustic
Tokenizers, https://arxiv.org/abs/2212.09058), Copyright (c) 2022 Microsoft, MIT License. Parameter
names equal the original's, so that its checkpoints load strictly. Not ported: the classification
head, dropout, layer drop, and the layer-wise gradient decay of its pre-training.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZES = (
    "input_patch_size",
    "embed_dim",
    "encoder_layers",
    "encoder_embed_dim",
    "encoder_ffn_embed_dim",
    "encoder_attention_heads",
    "conv_pos",
    "conv_pos_groups",
    "num_buckets",
    "max_distance",
)
"""Keys that a checkpoint's ``cfg`` must hold: the original's defaults differ from its releases."""

FIXED = {
    "conv_bias": False,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "deep_norm": True,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
}
"""The one architecture of every released BEATs; ``BEATs`` raises ValueError for any other."""


class PositionalConvolution(nn.Module):
    """Grouped convolution over time with its weight normalised along the kernel axis."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.kernel, self.groups = kernel, groups
        std = math.sqrt(4 / (kernel * width))
        self.weight_v = nn.Parameter(torch.randn(width, width // groups, kernel) * std)
        self.weight_g = nn.Parameter(self.weight_v.detach().norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, width, frames] to the same shape."""
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(0, 1), keepdim=True))
        y = F.conv1d(x, weight, self.bias, padding=self.kernel // 2, groups=self.groups)
        return F.gelu(y[..., : x.shape[-1]])  # an even kernel yields one frame too many


class Attention(nn.Module):
    """Self-attention whose relative-position bias is gated by the query."""

    def __init__(self, cfg: Mapping[str, Any], relative_attention_bias: nn.Embedding) -> None:
        super().__init__()
        width, self.heads = cfg["encoder_embed_dim"], cfg["encoder_attention_heads"]
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(width, width) for _ in range(4)
        )
        self.grep_linear = nn.Linear(width // self.heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, self.heads, 1, 1))
        # One table, owned by layer 0 and named in every layer, as in the original.
        self.relative_attention_bias = relative_attention_bias

    def forward(self, x: Tensor, position_bias: Tensor) -> Tensor:
        """Map x [batch, frames, width] to its shape; the bias is [heads, frames, frames]."""
        batch, frames, width = x.shape
        q, k, v = (
            proj(x).view(batch, frames, self.heads, -1).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        # The gate reads the query before its scaling by 1 / sqrt(head width).
        gates = self.grep_linear(q).view(batch, self.heads, frames, 2, 4).sum(-1).sigmoid()
        update, reset = gates.chunk(2, dim=-1)
        bias = (update * (reset * self.grep_a - 1.0) + 2.0) * position_bias
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.out_proj(y.transpose(1, 2).reshape(batch, frames, width))


class Layer(nn.Module):
    """A post-norm transformer layer with DeepNorm residuals (https://arxiv.org/abs/2203.00555)."""

    def __init__(self, cfg: Mapping[str, Any], relative_attention_bias: nn.Embedding) -> None:
        super().__init__()
        width = cfg["encoder_embed_dim"]
        self.residual_scale = (2 * cfg["encoder_layers"]) ** 0.25
        self.self_attn = Attention(cfg, relative_attention_bias)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, cfg["encoder_ffn_embed_dim"])
        self.fc2 = nn.Linear(cfg["encoder_ffn_embed_dim"], width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, position_bias: Tensor) -> Tensor:
        """Map [batch, frames, width] to the same shape."""
        x = self.self_attn_layer_norm(x * self.residual_scale + self.self_attn(x, position_bias))
        return self.final_layer_norm(x * self.residual_scale + self.fc2(F.gelu(self.fc1(x))))


class Encoder(nn.Module):
    """Convolutional and relative positions, then the layers."""

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        super().__init__()
        width = cfg["encoder_embed_dim"]
        self.buckets, self.max_distance = cfg["num_buckets"], cfg["max_distance"]
        self.pos_conv = nn.Sequential(
            PositionalConvolution(width, cfg["conv_pos"], cfg["conv_pos_groups"])
        )
        bias = nn.Embedding(self.buckets, cfg["encoder_attention_heads"])
        self.layers = nn.ModuleList(Layer(cfg, bias) for _ in range(cfg["encoder_layers"]))
        self.layer_norm = nn.LayerNorm(width)

    def position_bias(self, frames: int, device: torch.device) -> Tensor:
        """Return the bias [heads, frames, frames] of T5's bidirectional buckets."""
        position = torch.arange(frames, device=device)
        relative = position[None, :] - position[:, None]
        half = self.buckets // 2
        exact = half // 2  # shorter distances have a bucket each, longer ones share in log steps
        distance = relative.abs()
        far = torch.log(distance.float() / exact) / math.log(self.max_distance / exact)
        far = exact + (far.clamp(min=0) * (half - exact)).long()
        bucket = torch.where(distance < exact, distance, far.clamp(max=half - 1))
        bucket = bucket + (relative > 0) * half
        first: Any = self.layers[0]
        return first.self_attn.relative_attention_bias(bucket).permute(2, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, frames, width] to the same shape."""
        x = self.layer_norm(x + self.pos_conv(x.transpose(1, 2)).transpose(1, 2))
        bias = self.position_bias(x.shape[1], x.device)
        for layer in self.layers:
            x = layer(x, bias)
        return x


class BEATs(nn.Module):
    """Filter bank to features.

    ``cfg`` is the mapping of that name in a released checkpoint. KeyError when it lacks one of
    ``SIZES``, ValueError when it describes an architecture other than ``FIXED``. A padded clip
    would be encoded as if its padding were audio: batch clips of equal length only.
    """

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        super().__init__()
        other = {key: cfg[key] for key, value in FIXED.items() if cfg[key] != value}
        if other:
            raise ValueError(f"BEATs of another architecture than the released one: {other}")
        self.cfg = {key: cfg[key] for key in (*SIZES, *FIXED)}
        patch, embed, width = cfg["input_patch_size"], cfg["embed_dim"], cfg["encoder_embed_dim"]
        self.patch_embedding = nn.Conv2d(1, embed, kernel_size=patch, stride=patch, bias=False)
        self.layer_norm = nn.LayerNorm(embed)
        # The original has no projection between equal widths.
        self.post_extract_proj = nn.Linear(embed, width) if embed != width else None
        self.encoder = Encoder(cfg)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise for training as the original does: BERT's, then DeepNorm's in the layers."""
        for module in self.encoder.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        gain = (8 * len(self.encoder.layers)) ** -0.25
        layer: Any
        for layer in self.encoder.layers:
            attention = layer.self_attn
            for linear in (attention.q_proj, attention.k_proj):
                nn.init.xavier_normal_(linear.weight)
            for linear in (attention.v_proj, attention.out_proj, layer.fc1, layer.fc2):
                nn.init.xavier_normal_(linear.weight, gain=gain)

    def steps(self, frames: int) -> int:
        """Return how many steps in time the frames of a filter bank make; a rest is not heard."""
        return frames // int(self.cfg["input_patch_size"])

    def forward(self, fbank: Tensor) -> Tensor:
        """Map a normalised filter bank [batch, frames, mels] to features [batch, steps, width].

        A step is one patch of 16 x 16; steps run over time, the patches of one time from low to
        high frequency, so 30 s (2998 frames) of 128 mels are 187 x 8 = 1496 steps.
        """
        x = self.patch_embedding(fbank[:, None]).flatten(2).transpose(1, 2)
        x = self.layer_norm(x)
        return self.encoder(x if self.post_extract_proj is None else self.post_extract_proj(x))
