"""Learning rate and image size over a training run."""

from transferlens.core.config import ResizeSettings, TrainingSettings


def learning_rate(training: TrainingSettings, step: int, steps_per_epoch: int) -> float:
    """The rate of a step, by the schedule.

    `step`: `lr`, times `gamma` after every `step_epochs` epochs. `triangular`: from 0 up to `lr` at
    `lr_peak_epoch`, then down to 0 at the last epoch; evaluated at the middle of the step, so that no step
    has a rate of exactly 0 (with the start of the step, the first one is lost; small targets have few).
    """
    if training.schedule == "step":
        return training.lr * training.gamma ** (step // steps_per_epoch // training.step_epochs)
    epoch = (step + 0.5) / steps_per_epoch
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
