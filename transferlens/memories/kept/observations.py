"""What pairs of models say of source images and of composites."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from scipy.special import expit, logsumexp

from transferlens.core import job
from transferlens.data.artefacts import HALVES
from transferlens.data.index import Examples
from transferlens.data.pasting import Composed
from transferlens.data.pipeline import Images
from transferlens.maps import evidence
from transferlens.maps.evidence import inside_share
from transferlens.memories.artefacts import CONTROLS, MODELS
from transferlens.memories.effect.composites import ANSWERS, Answers, Responses, Table
from transferlens.memories.kept.binding import coupling
from transferlens.memories.kept.probes import Observation
from transferlens.memories.kept.retention import recall
from transferlens.memories.pairs import Pair
from transferlens.models.network import Network
from transferlens.training import engine, fitting
from transferlens.training.calibration import fit_temperature

_BATCH = 256


def of_half(examples: Examples, half: str) -> np.ndarray:
    """Positions int64[n] of a half's examples, ascending."""
    return np.flatnonzero(examples.halves == HALVES.index(half))


def of_source_images(pairs: Iterable[Pair], images: Images, half: str, models: int) -> list[Observation]:
    """Retention, binding and coupling of each of a half's pairs, on the half's source evaluation images.

    The temperature is fitted on the select half's images, whichever half the pair is of.
    """
    own, select = (of_half(images.examples, name) for name in (half, "select"))
    labels, observed = images.examples.labels, []
    for pair in job.progress(pairs, f"probe memories, {half} half", "pairs of models", models):
        features = engine.evaluate_some(pair.fine_tuned.backbone, images, own)
        with torch.inference_mode():
            after, of_target = (head(features) for head in (pair.source_head, pair.fine_tuned.head))
            calibrating = after
            if half != "select":
                calibrating = pair.source_head(engine.evaluate_some(pair.fine_tuned.backbone, images, select))
        before, of_scratch = (
            engine.evaluate_some(network, images, own) for network in (pair.source, pair.scratch)
        )
        temperature = fit_temperature(calibrating.cpu().numpy(), labels[select])
        weights = (pair.fine_tuned.head.weight, pair.source_head.weight)
        observed.append(
            Observation(
                recall(before.cpu().numpy(), after.cpu().numpy(), labels[own], temperature),
                *(values.softmax(1).cpu().numpy() for values in (of_target, of_scratch)),
                coupling(*(w.detach().cpu().double().numpy() for w in weights)),
                temperature,
            )
        )
    return observed


def of_composites(
    pairs: Iterable[Pair],
    temperatures: Sequence[float],
    table: Table,
    source: Images,
    target: Images,
    scramble: str,
    seed: int,
) -> Answers:
    """What each pair makes of every composite with every control, and of the target images alone.

    Images lie in memory as bytes, each once with each control; composites are made a batch at a time.

    Args:
        temperatures: of the pairs, which calibrate their source heads on the fine-tuned backbones.
    """
    made = Composed(table, source, target, CONTROLS, scramble, seed)
    kinds: dict[str, list[dict]] = {name: [] for name in MODELS}
    remembered = []
    for pair, temperature in zip(
        job.progress(pairs, "try composites", "pairs of models", len(temperatures)),
        temperatures,
        strict=True,
    ):
        heads = {"fine_tuned": (pair.fine_tuned, pair.source_head), "scratch": (pair.scratch, None)}
        for name, (network, source_head) in heads.items():
            answers = _answers(network, source_head, float(temperature), table, made)
            kinds[name].append(answers)
            if source_head is not None:
                remembered.append(answers["memory_probability"])
    responses = {
        name: Responses(**{key: np.stack([answers[key] for answers in of_kind]) for key in ANSWERS})
        for name, of_kind in kinds.items()
    }
    return Answers(responses, np.stack(remembered))


@torch.inference_mode()
def _answers(
    network: Network, source_head: torch.nn.Linear | None, temperature: float, table: Table, made: Composed
) -> dict[str, np.ndarray]:
    """One model's answers, each [composites] or [composites, controls]."""
    alone = fitting.evaluated(lambda rows: network(made.overlay(rows)), len(made.overlays))[made.overlay_of]
    answers = {"alone_prediction": alone.argmax(1).astype(np.int32)}
    answers["alone_p_true"], answers["alone_margin"] = _of_true_class(alone, table.target_class)
    by_control = []
    for control in CONTROLS:
        if control == "object":
            values = fitting.evaluated(
                lambda rows: _with_evidence(network, source_head, temperature, table, made, rows), len(table)
            )
            answers["inside_share"], answers["memory_probability"] = values[:, 0], values[:, 1]
            by_control.append(values[:, 2:])
        else:
            by_control.append(
                fitting.evaluated(
                    lambda rows, control=control: network(made.composite(rows, control)), len(table)
                )
            )
    answers["prediction"] = np.stack([logits.argmax(1) for logits in by_control], axis=1).astype(np.int32)
    of_true = [_of_true_class(logits, table.target_class) for logits in by_control]
    for key, by_control in zip(("p_true", "margin"), zip(*of_true, strict=True), strict=True):
        answers[key] = np.stack(by_control, axis=1)
    return answers


def _of_true_class(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probability and log-odds float32[n] of the true class, of logits [n, classes] and labels int64[n]."""
    rows, others = np.arange(len(labels)), logits.astype(np.float64)
    own = others[rows, labels]
    others[rows, labels] = -np.inf
    margin = own - logsumexp(others, axis=1)
    return expit(margin).astype(np.float32), margin.astype(np.float32)


def _with_evidence(
    network: Network,
    source_head: torch.nn.Linear | None,
    temperature: float,
    table: Table,
    made: Composed,
    rows: np.ndarray,
) -> torch.Tensor:
    """Of composites [rows]: the share of evidence inside, the memory's probability, and all logits."""
    images = made.composite(rows, "object")
    share = memory_probability = torch.full((len(rows),), torch.nan, device=images.device)
    if network.pools:
        maps, features = evidence.with_activations(network, images)
        classes = torch.from_numpy(table.target_class[rows]).to(images.device)
        positive = evidence.class_evidence(network, maps, classes).relu()
        square = [torch.from_numpy(column[rows]) for column in (table.x, table.y, table.side)]
        share = inside_share(positive, *square, images.shape[-1])
    else:
        features = network.backbone(images)
    if source_head is not None:
        remembered = (source_head(features) / temperature).softmax(1)
        classes = torch.from_numpy(table.source_class[rows]).to(images.device)
        memory_probability = remembered.gather(1, classes[:, None])[:, 0]
    return torch.cat([share[:, None], memory_probability[:, None], network.head(features)], dim=1)


def trial(
    table: Table, source: Images, target: Images, scramble: str, seed: int
) -> Callable[[Network], dict[str, np.ndarray]]:
    """Tries one network at a time on every composite, as `of_composites` does pairs.

    Returns:
        A function that gives `p_true`, `margin` and `prediction` [composites, controls], and the same as
        `alone_...` [composites].
    """
    made = Composed(table, source, target, CONTROLS, scramble, seed)
    return lambda network: _answers(network, None, 1.0, table, made)
