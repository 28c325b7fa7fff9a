"""Which block of a network each of its parameters belongs to."""

from transferlens.models.network import Network


def block_numbers(network: Network) -> dict[str, int]:
    """The block of every parameter by its name in the network, numbered from 1 in depth order.

    Parameters outside all blocks (a normalisation between two, say) belong to the block before them in the
    order in which the network registers its parameters, those before the first block to the first. A backbone
    without blocks is one. The head's number is one more than the last block's.
    """
    blocks = [f"backbone.{path}." for path in network.parts.blocks]
    number, numbers = 1, {}
    for name, _ in network.backbone.named_parameters(prefix="backbone"):
        own = [i for i, start in enumerate(blocks, start=1) if name.startswith(start)]
        number = own[-1] if own else number
        numbers[name] = number
    after = max(1, len(blocks)) + 1
    return numbers | {name: after for name, _ in network.head.named_parameters(prefix="head")}
