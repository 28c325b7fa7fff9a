"""The main path of a network: the outputs that all which is made of an image passes through, in depth order.

An output is on it if it is a cut of the graph of operations between image and features: every path goes
through it. Paths are counted exactly: those from the features to it times those from it to the image are all.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

Node = torch.autograd.graph.Node
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def on_main_path(features: torch.Tensor, made_by: Mapping[str, Node | None]) -> set[str]:
    """The layers whose outputs are cuts between image and features.

    Args:
        features: with the graph of what made them, from one leaf that asks for gradients: the image.
        made_by: the node of every layer's output.
    """
    root = features.grad_fn
    if root is None:
        return set()
    order = _in_order(root)
    to_image = dict.fromkeys(order, 0)
    from_features = dict.fromkeys(order, 0)
    for node in reversed(order):
        following = _next(node)
        to_image[node] = sum(to_image[n] for n in following) if following else int(_is_leaf(node))
    from_features[root] = 1
    for node in order:
        for following in _next(node):
            from_features[following] += from_features[node]
    total = to_image[root]
    return {
        name
        for name, node in made_by.items()
        if node in to_image and to_image[node] and from_features[node] * to_image[node] == total
    }


def _next(node: Node) -> list[Node]:
    """Where a node's gradients go, but for parameters (which are asked for none)."""
    return [following for following, _ in node.next_functions if following is not None]


def _is_leaf(node: Node) -> bool:
    """Whether gradients end here: at the image."""
    return hasattr(node, "variable")


def _in_order(root: Node) -> list[Node]:
    """Every node, each before those its gradients go to."""
    done: set[Node] = set()
    finished: list[Node] = []
    stack = [(root, iter(_next(root)))]
    done.add(root)
    while stack:
        node, following = stack[-1]
        for other in following:
            if other not in done:
                done.add(other)
                stack.append((other, iter(_next(other))))
                break
        else:
            finished.append(node)
            stack.pop()
    return finished[::-1]


def blocks(backbone: nn.Module, called: Iterable[str], on_path: set[str], root: str = "") -> tuple[str, ...]:
    """Paths of the backbone's blocks in depth order.

    A block is the smallest module with parameters through which the main path goes as a whole, and all
    modules of its class are blocks like it (one without a shortcut, too). A convolution or linear layer with
    its normalisation is one block; normalisations between blocks are none.

    Args:
        called: layers in the order in which they finish; of those called again, the last time.
        on_path: layers of the main path.
        root: where in the backbone they are.
    """
    known = dict(backbone.named_modules())
    order = {name: i for i, name in enumerate(called)}
    tree = _Tree(known, order, on_path)
    undivided = {type(module) for name, module in known.items() if name != root and tree.is_undivided(name)}
    parts = tree.parts(root)
    if not all(tree.flows(part) for part in parts):
        return ()
    return tuple(block for part in parts for block in tree.cut(part, undivided))


class _Tree:
    """Modules by name, with what was seen of them."""

    def __init__(self, known: Mapping[str, nn.Module], order: Mapping[str, int], on_path: set[str]):
        self.known, self.order, self.on_path = known, order, on_path

    def parts(self, name: str) -> list[str]:
        """Modules directly inside that have parameters and take part, in the order in which they finish."""
        children = (f"{name}.{child}" if name else child for child, _ in self.known[name].named_children())
        there = [child for child in children if self._place(child) >= 0 and _trainable(self.known[child])]
        return sorted(there, key=self._place)

    def _place(self, name: str) -> int:
        """When a module, or the last of what it holds, finished; -1 if it takes no part."""
        if name in self.order:
            return self.order[name]
        return max((self.order[other] for other in self.order if other.startswith(f"{name}.")), default=-1)

    def flows(self, name: str) -> bool:
        """Whether the main path goes through a module; a list that is never called is its parts."""
        if name in self.order:
            return name in self.on_path
        return all(self.flows(part) for part in self.parts(name))

    def divides(self, name: str) -> bool:
        """Whether the main path goes through parts of a module, one after the other."""
        parts = self.parts(name)
        layers = [part for part in parts if not isinstance(self.known[part], _NORMS)]
        several = len(layers) > 1 or any(self.parts(part) for part in layers)
        return several and all(self.flows(part) for part in parts)

    def is_undivided(self, name: str) -> bool:
        """Whether a module of a class of its own is a block, by its inside."""
        module = self.known[name]
        if isinstance(module, _CONTAINERS) or not self.parts(name) or self._place(name) < 0:
            return False
        return not self.divides(name)

    def cut(self, name: str, undivided: set[type]) -> list[str]:
        """The blocks of a module."""
        module = self.known[name]
        if all(
            isinstance(m, _NORMS)
            for m in module.modules()
            if next(m.parameters(recurse=False), None) is not None
        ):
            return []
        if type(module) in undivided or not self.divides(name):
            return [name]
        return [block for part in self.parts(name) for block in self.cut(part, undivided)]


def _trainable(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None
