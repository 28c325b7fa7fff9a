"""What happens to the target without the blocks of source images that help or hurt it most."""

from collections.abc import Iterator

from transferlens.core.capability import Beside, Step, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.studies import Study
from transferlens.counterfactual.artefacts import BLOCK_REMOVALS
from transferlens.counterfactual.settings import BlockRemovalStudy
from transferlens.data.capability import described, images_of
from transferlens.data.catalogue import CATALOGUE, limited
from transferlens.estimation.asked import require_output
from transferlens.training.artefacts import SUMMARY


def study_of(target: str, recipe: str) -> str:
    """The name of the study of a target and recipe."""
    return f"block_removals/{target}/{recipe}"


def _each(run: Run) -> list[Wildcards]:
    pairs = run.adaptations if run.section(BlockRemovalStudy) else []
    return [{"target": target, "recipe": recipe} for target, recipe in pairs]


EVALUATE = Step(
    name="block_removals",
    script="evaluate_block_removals.py",
    title="Evaluate removals of source images on {target} ({recipe})",
    outputs={"block_removals": BLOCK_REMOVALS},
    inputs=lambda run, w: {
        "summary": SUMMARY.at(study=study_of(**w), **w),
        "reference": SUMMARY.at(study="reference", **w),
    },
    settings=lambda run, w: {
        key: run.studies[study_of(**w)].masks[key] for key in ("orders", "ks", "output")
    },
    made_for=_each,
)
FIGURES = Step(
    name="block_removal_figures",
    script="draw_block_removals.py",
    title="Draw the removals of source images on {target} ({recipe})",
    outputs={
        "curves": Beside(
            "report/{target}/{recipe}/block_removals.svg",
            "Counterfactuals",
            "counterfactual_curves.rst",
            {"target": "{target}", "recipe": "{recipe}", "figure": "blocks of images"},
        ),
        "curves_png": Beside("report/{target}/{recipe}/block_removals.png"),
        "curves_table": Beside("report/{target}/{recipe}/block_removals.csv"),
    },
    inputs=lambda run, w: {"block_removals": BLOCK_REMOVALS.at(**w)},
    made_for=_each,
)


def sizes(run: Run) -> dict[str, int]:
    """Sizes of curves, cells and repeats."""
    given = run.section(BlockRemovalStudy)
    return {
        "order": len(given.orders),
        "k": len(given.ks),
        "repeat": given.repeats,
        "reference_repeat": run.settings.studies.reference.repeats,
    }


def studies(run: Run) -> Iterator[Study]:
    """One study for each target and recipe."""
    given = run.section(BlockRemovalStudy)
    for place in _each(run):
        yield Study(
            name=study_of(**place),
            kind="transferlens.counterfactual.block_orders:BlockRemovals",
            rows=len(given.orders) * len(given.ks) * given.repeats,
            shard_size=given.shard_size,
            masks={
                **given.model_dump(include={"orders", "output"}),
                "ks": sorted(given.ks),
                "units": run.settings.studies.examples.images_a_block,
            },
            evidence={"example_influence": run.file("example influence", **place)},
            seen_units=-sum(given.ks) / len(given.ks),
        )


def transfers(run: Run) -> Iterator[Transfer]:
    """Each study's models adapted to its own target by its own recipe."""
    for place in _each(run):
        yield Transfer(study_of(**place), **place)


def check(run: Run) -> None:
    """Refuse removals that nothing ranks, or whose repeats have no full-source model."""
    given, others = run.section(BlockRemovalStudy), run.settings.studies
    if given is None:
        return
    for name, why in (("examples", "ranks the blocks"), ("reference", "is what they are compared with")):
        if getattr(others, name) is None:
            raise ConfigError(
                f"config: studies.block_removals needs studies.{name}, which {why}; set it, or "
                "studies.block_removals: null"
            )
    if given.repeats > others.reference.repeats:
        raise ConfigError(
            f"config: studies.block_removals.repeats is {given.repeats}, but each repeat is paired with a "
            f"full-source model and studies.reference.repeats is {others.reference.repeats}; raise the latter"
        )
    require_output(run, given.output, "studies.block_removals")


def check_data(run: Run) -> None:
    """Refuse to remove more blocks than there can be, where the number of source images is published."""
    given = run.section(BlockRemovalStudy)
    facts = CATALOGUE.get(images_of(run, run.source))
    if given is None or facts is None:
        return
    classes, per_block = len(described(run, run.source)[0]), run.settings.studies.examples.images_a_block
    settings = run.dataset(run.source)
    images = limited(facts.train_images, classes, settings.train_per_class, settings.train_share)
    # A class's last block may be short.
    most = None if images is None else -(-images // per_block) + classes - 1
    if most is not None and max(given.ks) > most:
        raise ConfigError(
            f"config: studies.block_removals.ks contains {max(given.ks)}, but of at most {images} source "
            f"images there are at most {most} blocks of {per_block}; use fewer"
        )
