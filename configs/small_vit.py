"""A small vision transformer in a file of its own: `architecture: {file: configs/small_vit.py:make_vit}`."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Attention and a multilayer perceptron, each after a normalisation and beside a shortcut."""

    def __init__(self, dim, heads, dropout):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d)
        x = x + self.dropout(self.out(mixed))
        return x + self.dropout(self.mlp(self.norm2(x)))


class ViT(nn.Module):
    """Patches with learned positions, blocks, and the mean of all tokens."""

    def __init__(self, classes, image_size, patch_size, dim, depth, heads, dropout):
        super().__init__()
        self.patches = nn.Conv2d(3, dim, patch_size, patch_size)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


def make_vit(classes, image_size=64, patch_size=8, dim=96, depth=4, heads=4, dropout=0.0):
    return ViT(classes, image_size, patch_size, dim, depth, heads, dropout)
