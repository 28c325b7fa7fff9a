"""What is found of a run's networks, as tables to read before anything is trained. No data are read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isclose

from transferlens.core.errors import TransferlensError
from transferlens.core.run import Run
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.models import architectures, blocks, contract, grids, heads
from transferlens.models.contract import Contract
from transferlens.models.network import Network

_PARTS = "architecture.parts"
_NAMED = 3  # studies in a title


def report(run: Run) -> Iterator[str]:
    """A table for each distinct network, and why a run of these settings would be refused, if it would be."""
    said = set()
    for (network, images), studies in distinct(run).items():
        given = NetworkSettings.model_validate_json(network)
        try:
            found = table(given, InputSettings.model_validate_json(images))
        except TransferlensError as error:
            found = f"Refused: {error}"
            said.add(str(error))
        yield f"{_whose(studies)}: {given.described()}\n\n{found}\n"
    if reasons := [reason for reason in refusals(run) if reason not in said]:
        yield "A run of these settings would be refused:"
        yield from (f"  {reason}" for reason in reasons)


def distinct(run: Run) -> dict[tuple[str, str], list[str | None]]:
    """The studies of every network and input (as JSON); None for the run itself."""
    found: dict[tuple[str, str], list[str | None]] = {}
    for study in (None, *run.studies):
        network = NetworkSettings.read(run.architecture_of(study))
        images = InputSettings.read(run.input_of(run.source, study))
        found.setdefault((network.model_dump_json(), images.model_dump_json()), []).append(study)
    return found


def _whose(studies: Sequence[str | None]) -> str:
    """Whose network it is; the studies that have the run's own are not named."""
    if None in studies:
        return "Network of the run"
    more = f" and {len(studies) - _NAMED} more" if len(studies) > _NAMED else ""
    named = ", ".join(map(str, studies[:_NAMED]))
    return f"Network of {named}{more} (keys `architecture` of its own section)"


def refusals(run: Run) -> Iterator[str]:
    """What capabilities ask for that the networks do not allow."""
    for capability in run.capabilities:
        try:
            capability.check_networks(run)
        except TransferlensError as error:
            yield str(error)


def table(given: NetworkSettings, images: InputSettings) -> str:
    """What was found of a network, with the keys that say otherwise, and its blocks.

    Raises:
        ConfigError, SetupError: it is not understood, or cannot be built.
    """
    found = contract.find(given)
    network = contract.build(given, heads.CLASSES)
    weights = sum(parameter.numel() for parameter in network.backbone.parameters())
    rows = [
        ("network", "architecture.file" if given.file else "architecture.name", _named(given)),
        (
            "parameters",
            "",
            f"{_amount(weights)}, and {found.features + 1:,} in the head for each class",
        ),
        *_input_rows(given, images),
        ("features", "", f"{found.features:,}"),
        ("head", f"{_PARTS}.head", _head(found)),
        ("class maps come from", f"{_PARTS}.class_map_layer", _class_maps(found)),
        ("tokens before the cells", f"{_PARTS}.prefix_tokens", str(found.parts.prefix_tokens)),
        ("they add up to logits", "", _evidence(found)),
        ("batch normalisation", "", _retreat(found)),
        ("blocks", f"{_PARTS}.blocks", f"{len(found.parts.blocks)}" if found.parts.blocks else _NO_BLOCKS),
    ]
    return "\n".join([*columns([("", "to say otherwise", "found"), *rows]), "", *_block_lines(network)])


_NO_BLOCKS = "none, as there is no one path through modules with parameters"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _amount(parameters: int) -> str:
    return f"{parameters / 1e6:,.2f} million" if parameters >= 1e5 else f"{parameters:,}"


def _named(given: NetworkSettings) -> str:
    """The network with its options; of a user's file also which content."""
    return given.described() + (f" (SHA-256 {given.digest[:12]}...)" if given.digest else "")


def _input_rows(given: NetworkSettings, images: InputSettings) -> Iterator[tuple[str, str, str]]:
    """How images enter, beside what the published weights expect."""
    expected = architectures.expected_input(given)
    for what in ("resolution", "mean", "std"):
        own = getattr(images, what)
        words = _shown(own)
        if expected is not None:
            wanted = getattr(expected, what)
            words += (
                " as published weights expect"
                if _same(own, wanted)
                else (f" DIFFERS: published weights expect {_shown(wanted)}")
            )
        yield {"resolution": "input", "mean": "", "std": ""}[what], f"input.{what}", words


def _shown(value: int | Sequence[float]) -> str:
    return f"{value} px" if isinstance(value, int) else ", ".join(f"{number:.4g}" for number in value)


def _same(one: int | Sequence[float], other: int | Sequence[float]) -> bool:
    if isinstance(one, int):
        return one == other
    return all(isclose(a, b, abs_tol=5e-4) for a, b in zip(one, other, strict=True))


def _head(found: Contract) -> str:
    paths = ", ".join(found.heads.paths)
    if len(found.heads.paths) > 1:
        return f"{paths}: their outputs are averaged"
    return paths if found.heads.last else f"{paths}; what follows it is left out"


def _class_maps(found: Contract) -> str:
    """The layer, its cells, and how it holds them."""
    if found.parts.class_map_layer is None:
        return "nothing: there are no class maps"
    cells = f"{found.cells[0]} x {found.cells[1]} cells"
    channels = grids.channels_of((1, *found.shape))
    if len(found.shape) == 2:
        holds = f"{found.shape[0]} tokens of {channels} channels"
    else:
        holds = f"a map of {channels} channels" + ", channels last" * (found.shape[0] != channels)
    return f"{found.parts.class_map_layer}: {cells}, {holds}"


def _evidence(found: Contract) -> str:
    """Whether class maps add up to logits, or why not."""
    if found.no_evidence:
        return f"no, as {found.no_evidence}"
    part = ", those of its positive part" if found.parts.rectified else ""
    held = (
        f", with the statistics of the layer norm '{found.parts.norm}' held fixed" if found.parts.norm else ""
    )
    return f"exactly{part}{held}"


def _retreat(found: Contract) -> str:
    """Whether images of a batch see each other, and what is done when memory runs out."""
    again = "blocks are computed again in the backward pass" if found.parts.blocks else "no more can be done"
    if found.batchnorm:
        return f"yes: when memory runs out, {again}"
    return f"none: when memory runs out, batches are cut into micro-batches; in the end, {again}"


def _block_lines(network: Network) -> list[str]:
    """The blocks with their numbers of parameters, which add up to the backbone's."""
    own: Counter[int] = Counter()
    numbers = blocks.block_numbers(network)
    for name, parameter in network.backbone.named_parameters(prefix="backbone"):
        own[numbers[name]] += parameter.numel()
    rows = [(str(i), path, f"{own[i]:,}") for i, path in enumerate(network.parts.blocks, start=1)]
    return columns([("block", "path", "parameters"), *rows]) if rows else []
