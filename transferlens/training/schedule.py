"""Length, learning rate and image size over a training run."""

import math

from transferlens.core.seeding import rng_for
from transferlens.core.settings import ResizeSettings, TrainingSettings


def steps_per_epoch(images: int, training: TrainingSettings, seed: int | None = None) -> int:
    """Steps of an epoch: the batches of one pass (a smaller one if there is no other), or the epoch's share
    of the iterations.

    Args:
        seed: decides whether the pass's last incomplete batch counts as a step, where it is rounded: with the
            probability of its share of a batch. Runs of one seed draw alike. Without a seed it does not
            count.
    """
    if training.iterations is not None:
        return training.iterations // training.epochs
    batch = min(training.batch_size, images)
    complete, rest = divmod(images, batch)
    if training.last_batch == "dropped" or seed is None:
        return complete
    return complete + int(rng_for(seed, "last batch").random() < rest / batch)


def learning_rate(training: TrainingSettings, step: int, steps_per_epoch: int) -> float:
    """The rate of a step, by the schedule.

    * `step`: `lr`, times `gamma` after every `step_epochs` epochs, or after each of the epochs listed there.
    * `triangular`: from 0 up to `lr` at `lr_peak_epoch`, then down to 0 at the last epoch; evaluated at the
      middle of the step, so that no step has a rate of exactly 0 (with the start of the step, the first one
      is lost; small targets have few).
    * `cosine`: from `lr` to 0 along half a cosine, after the warm-up (Loshchilov & Hutter 2017).

    In the warm-up, `step` and `cosine` rise linearly; its last step has the whole rate.
    """
    if training.schedule == "triangular":
        return _triangular(training, (step + 0.5) / steps_per_epoch)
    warmup = round(training.warmup_epochs * steps_per_epoch)
    rising = (step + 1) / warmup if step < warmup else 1.0
    if training.schedule == "step":
        return training.lr * training.gamma ** _drops(training, step // steps_per_epoch) * rising
    falling = (step - warmup) / (training.epochs * steps_per_epoch - warmup) if step >= warmup else 0.0
    return training.lr * rising * (1 + math.cos(math.pi * falling)) / 2


def _drops(training: TrainingSettings, epoch: int) -> int:
    """How often the rate has been multiplied by gamma when an epoch begins."""
    given = training.step_epochs
    return sum(after <= epoch for after in given) if isinstance(given, list) else epoch // given


def _triangular(training: TrainingSettings, epoch: float) -> float:
    peak, end = training.lr_peak_epoch, training.epochs
    rising = epoch / peak if epoch < peak else 1.0
    falling = (end - epoch) / (end - peak) if epoch >= peak and end > peak else 1.0
    return training.lr * min(rising, falling)


def resolution(resize: ResizeSettings | None, epoch: int, fixed: int) -> int:
    """Side of training images: linear from `low` at epoch `start` to `high` at `end`, by steps of 32."""
    if resize is None:
        return fixed
    if epoch <= resize.start:
        return resize.low
    if epoch >= resize.end:
        return resize.high
    share = (epoch - resize.start) / (resize.end - resize.start)
    return round((resize.low + share * (resize.high - resize.low)) / 32) * 32
