"""Networks as users write them, each made by a function of the number of classes and of options."""

import torch
import torchvision
from torch import nn
from torch.nn import functional


class Basic(nn.Module):
    """Two convolutions beside a shortcut without parameters (option A of He et al. 2016)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return functional.relu(y + shortcut)


class ResNet20(nn.Module):
    """The ResNet of CIFAR, pooled by a mean in its forward pass."""

    def __init__(self, classes, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        stages = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2)]
        self.layers = nn.ModuleList(
            nn.Sequential(Basic(inputs, outputs, stride), *(Basic(outputs, outputs, 1) for _ in range(2)))
            for inputs, outputs, stride in stages
        )
        self.linear = nn.Linear(4 * width, classes)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        for layer in self.layers:
            x = layer(x)
        return self.linear(x.mean((2, 3)))


def make_resnet20(classes, width=16):
    return ResNet20(classes, width)


class Attention(nn.Module):
    """A pre-norm block of a transformer; one dropout serves both branches."""

    def __init__(self, dim, heads, dropout):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d)
        x = x + self.dropout(self.out(mixed))
        return x + self.dropout(self.mlp(self.norm2(x)))


class ViT(nn.Module):
    """Patches, learned positions, blocks, and the mean of all tokens, normalised."""

    def __init__(self, classes, image_size, patch_size, dim, depth, heads, dropout):
        super().__init__()
        self.patches = nn.Conv2d(3, dim, patch_size, patch_size)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.blocks = nn.ModuleList(Attention(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


def make_vit(classes, image_size=32, patch_size=8, dim=48, depth=2, heads=3, dropout=0.0):
    return ViT(classes, image_size, patch_size, dim, depth, heads, dropout)


def make_class_token_vit(classes, image_size=32, patch_size=8, **dropouts):
    """torchvision's vision transformer with two small layers: features are a token of their own."""
    return torchvision.models.VisionTransformer(
        image_size, patch_size, 2, 2, hidden_dim=16, mlp_dim=32, num_classes=classes, **dropouts
    )


def make_convnext(classes, stochastic_depth=0.5):
    """torchvision's ConvNeXt with few and narrow blocks."""
    setting = [torchvision.models.convnext.CNBlockConfig(*block) for block in ((8, 16, 1), (16, None, 2))]
    return torchvision.models.ConvNeXt(setting, stochastic_depth, num_classes=classes)


def make_swin(classes, dropout=0.2, stochastic_depth=0.5):
    """torchvision's Swin with two narrow blocks, whose windows of attention are rows of their own."""
    return torchvision.models.SwinTransformer(
        [2, 2],
        8,
        [1, 1],
        [1, 2],
        [4, 4],
        dropout=dropout,
        stochastic_depth_prob=stochastic_depth,
        num_classes=classes,
    )
