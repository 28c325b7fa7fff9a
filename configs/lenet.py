"""A LeNet-like network in a file of its own: `architecture: {file: configs/lenet.py:make_lenet}`."""

from torch import nn
from torch.nn import functional


class LeNet(nn.Module):
    """Two convolutions and a layer of 200 features below the head, for images of 28 pixels a side."""

    def __init__(self, classes, features, dropout):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 20, 5), nn.Conv2d(20, 50, 5)
        self.dense, self.head = nn.Linear(800, features), nn.Linear(features, classes)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.first, self.second, self.dense, self.head):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        for layer in (self.first, self.second):
            x = functional.max_pool2d(functional.relu(layer(x)), 2)
        x = functional.relu(self.dense(self.dropout(x).flatten(1)))
        return self.head(self.dropout(x))


def make_lenet(classes, features=200, dropout=0.5):
    return LeNet(classes, features, dropout)
