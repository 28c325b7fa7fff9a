"""Networks as users write them, each made by a function of the number of classes and of options."""

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
