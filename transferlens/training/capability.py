"""Source models, their adaptation to targets, and the summaries of what they say."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from transferlens.core.artefacts import RESULTS, Artefact
from transferlens.core.capability import Beside, Capability, Step, Transfer, Wildcards
from transferlens.core.configuration import CapabilitySection
from transferlens.core.errors import ConfigError, DataError
from transferlens.core.imports import resolve
from transferlens.core.run import Run
from transferlens.core.settings import NetworkSettings
from transferlens.core.studies import MASKS, Study
from transferlens.data.artefacts import INDEX
from transferlens.data.capability import betons, described, metric_of, reported
from transferlens.models import known as networks
from transferlens.models.packages import is_name
from transferlens.training.artefacts import (
    ADAPTED_FEATURES,
    FEATURES,
    LOG_QUANTITIES,
    SOURCE_MODELS,
    SUMMARY,
    TRAINING_RECORDS,
    TRANSFER_RUNS,
)
from transferlens.training.recipes.kinds import KINDS, log_rows
from transferlens.training.recipes.settings.base import RecipeSettings, Task
from transferlens.training.recipes.settings.objectives import of_source

SHARD_SIZE = 16
# What a section says of the weights that the models of a study are given (see `Study.loads`).
LOADED = {"weights", "prefix", "head"}
SHARD_WORDS = "Models trained in one job, one file; the unit of resumption."


class ReferenceStudy(CapabilitySection):
    """Full-source models and from-scratch models (no source class), each repeated; null for none."""

    key: ClassVar[str] = "studies.reference"
    nullable: ClassVar[bool] = True

    repeats: int = Field(8, ge=2, description="Models of each of the two kinds.")
    shard_size: int = Field(SHARD_SIZE, ge=1, description=SHARD_WORDS)


class PretrainedStudy(CapabilitySection):
    """Transfers of given weights, each beside a model from scratch; null for none."""

    key: ClassVar[str] = "studies.pretrained"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    weights: str = Field(
        description="The path of a .pt, .pth or .safetensors file, or a name: of torchvision's weights of "
        "the network (`IMAGENET1K_V1`), of timm's (`pretrained`, or a tag: `augreg_in21k_ft_in1k`), or "
        "`efficientnet-lite0`, `-lite1`, `-lite2` (from packages, without a download). Where they have 1,000 "
        "outputs, the source classes must be among ImageNet's. A file may have the network's own names under "
        "any wrapper and prefix (docs/networks.md)."
    )
    prefix: str | None = Field(
        None,
        description="Where in a file the network is, if it holds several copies of it (`student.backbone`): "
        "some parts of the wrapper and prefix are enough. null for the copy that fits best.",
    )
    head: Literal["given", "probe"] = Field(
        "given",
        description="The head over the source classes: the `given` one of the weights, or a linear `probe`, "
        "fitted with source_training on the frozen features of the source's training images (for backbones "
        "trained without labels; what the weights hold in the head's place is not used).",
    )
    repeats: int = Field(
        1,
        ge=1,
        description="Models of each of the two kinds: transfers of the same weights, which differ in their "
        "seeds, and models from scratch with the same seeds.",
    )
    shard_size: int = Field(SHARD_SIZE, ge=1, description=SHARD_WORDS)


def shard_paths(
    run: Run, artefact: Artefact, study: str, shards: Iterable[str] | None = None, **wildcards: str
):
    """The path of every shard of a study's artefact (of those named, if any are)."""
    names = run.studies[study].shards if shards is None else shards
    return [artefact.at(study=study, shard=name, **wildcards) for name in names]


def transfer_paths(run: Run, study: str, target: str, recipe: str) -> list[str]:
    """The transfer runs of a study, shard by shard."""
    shards = run.transfer_shards(study, target, recipe)
    return shard_paths(run, TRANSFER_RUNS, study, shards, target=target, recipe=recipe)


def _all_shards(run: Run) -> Iterator[dict[str, str]]:
    for study in run.studies.values():
        for shard in study.shards:
            yield {"study": study.name, "shard": shard}


def _mask_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    return {"index": INDEX.at(dataset=run.source), **run.studies[wildcards["study"]].evidence}


def _mask_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    study = run.studies[wildcards["study"]]
    block = study.rows_of(wildcards["shard"])
    return {
        **study.masks,
        "study": study.name,
        "kind": study.kind,
        "seed": run.seed,
        "rows": [block.start, block.stop],
    }


DRAW_MASKS = Step(
    name="draw_masks",
    script="draw_masks.py",
    title="Draw masks of {study}, shard {shard}",
    outputs={"masks": MASKS},
    inputs=_mask_inputs,
    settings=_mask_settings,
    code=lambda run, wildcards: (run.studies[wildcards["study"]].kind,),
    made_for=_all_shards,
    shown=False,
)


def _source_inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    study = run.studies[wildcards["study"]]
    files = {"masks": MASKS.at(**wildcards), **betons(run.source, "train", "val")}
    if study.loads and not is_name(study.loads["weights"]):
        files["weights"] = study.loads["weights"]
    return files


def _source_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    study = run.studies[wildcards["study"]]
    settings = {
        "architecture": run.architecture_of(study.name),
        "input": run.input_of(run.source, study.name),
    }
    if study.loads is None:
        order = {"order_seed": run.seed} if settings["input"]["loading"] == "shared" else {}
        return {**settings, **_objective(run), "step_matched": study.step_matched, **order}
    probe = run.settings.source_training.supervised().model_dump()
    fitted = {"training": probe} if study.loads["head"] == "probe" else {}
    chosen = {key: study.loads[key] for key in ("weights", "prefix") if study.loads[key] is not None}
    return {**settings, **chosen, **fitted}


def _objective(run: Run) -> dict[str, Any]:
    """How source models are trained; of the objectives, the keys of the one in use."""
    recipe = of_source(run.settings.source_training)
    if run.settings.source_training.objective == "supervised":
        return {"training": recipe.training.model_dump()}
    return {"objective": recipe.model_dump()}


def training_arguments(run: Run, wildcards: Wildcards) -> list[str]:
    """What decides no result of a job that trains a shard of models."""
    return [*resumption(run, wildcards), "--models-at-once", str(run.settings.models_at_once)]


def resumption(run: Run, wildcards: Wildcards) -> list[str]:
    """How often training in progress is kept; that decides no result."""
    minutes = run.settings.resume_minutes
    return [] if minutes is None else ["--resume-minutes", str(minutes)]


def _trained(loaded: bool) -> Any:
    """The shards of studies that are trained, or of those whose weights are loaded."""
    return lambda run: [w for w in _all_shards(run) if (run.studies[w["study"]].loads is not None) == loaded]


TRAIN_SOURCE = Step(
    name="train_source",
    script="train_source.py",
    title="Train source models of {study}, shard {shard}",
    outputs={"models": SOURCE_MODELS, "record": TRAINING_RECORDS},
    inputs=_source_inputs,
    settings=_source_settings,
    code=lambda run, wildcards: KINDS[of_source(run.settings.source_training).kind].code,
    arguments=training_arguments,
    made_for=_trained(loaded=False),
    shown=False,
)
LOAD_PRETRAINED = Step(
    name="load_pretrained",
    script="load_pretrained.py",
    title="Load the weights of {study}",
    outputs={"models": SOURCE_MODELS, "record": TRAINING_RECORDS},
    inputs=_source_inputs,
    settings=_source_settings,
    code=lambda run, wildcards: KINDS["fixed"].code,
    # Where weights come from decides nothing: those of a name are the same wherever they lie.
    arguments=lambda run, wildcards: [
        *["--named", run.studies[wildcards["study"]].loads["named"]],
        *["--download"] * run.settings.download,
    ],
    made_for=_trained(loaded=True),
    shown=False,
)


def adaptation_inputs(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    """The files that an adaptation of models of a shard to a target by a recipe is made from.

    Most jobs of a large run are transfers, and planning takes as long as their inputs are many.
    """
    source = SOURCE_MODELS.at(study=wildcards["study"], shard=wildcards["shard"])
    files = {"source": source, **betons(wildcards["target"], "train", "val")}
    for capability in run.capabilities:
        files |= capability.recipe_inputs(run, wildcards["target"], wildcards["recipe"])
    return files


def adaptation(run: Run, wildcards: Wildcards, keep_weights: bool) -> dict[str, Any]:
    """Settings of an adaptation of models of a study to a target by a recipe.

    Args:
        keep_weights: whether whole adapted networks are kept.
    """
    study, target, recipe = (wildcards[name] for name in ("study", "target", "recipe"))
    settings = {
        "architecture": run.architecture_of(study),
        "input": run.input_of(target, study),
        "recipe": run.recipe(target, recipe),
        "metric": metric_of(run, target),
        "keep_weights": keep_weights,
    }
    for capability in run.capabilities:
        settings |= capability.recipe_settings(run, target, recipe)
    return settings


def adaptation_code(run: Run, wildcards: Wildcards) -> list[str]:
    """Import paths of what adapts, of what makes its material, and of what reads what was chosen of it."""
    target, recipe = wildcards["target"], wildcards["recipe"]
    given = [capability.recipe_settings(run, target, recipe) for capability in run.capabilities]
    makers = [settings["material"]["maker"] for settings in given if "material" in settings]
    readers = [settings["chosen"] for settings in given if "chosen" in settings]
    return [*run.recipe_code(target, recipe), *makers, *readers]


def _transfer_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    study, target, recipe = (wildcards[name] for name in ("study", "target", "recipe"))
    # Whole adapted networks are kept only where later analyses read them.
    settings = adaptation(run, wildcards, _keeps_networks(run, study, target, recipe))
    # Only where something is kept: a change of it makes no other transfer again.
    if keeps := run.transfers[study, target, recipe].keeps:
        settings["keeps"] = dict(keeps)
    return settings


def _keeps_networks(run: Run, study: str, target: str, recipe: str) -> bool:
    """Whether whole adapted networks are read later: by the study's own readers, or for their features."""
    asked = any(name == study and of == (target, recipe) for name, _, _, of in run.features)
    kept = run.transfers[study, target, recipe].keeps_networks or run.studies[study].keeps_networks
    return asked or kept


def _transfer_code(run: Run, wildcards: Wildcards) -> list[str]:
    study, target, recipe = (wildcards[name] for name in ("study", "target", "recipe"))
    return [*adaptation_code(run, wildcards), *run.transfers[study, target, recipe].keeps]


TRANSFER = Step(
    name="transfer",
    script="transfer.py",
    title="Transfer {study}, shard {shard}, to {target} ({recipe})",
    outputs={"runs": TRANSFER_RUNS},
    inputs=adaptation_inputs,
    settings=_transfer_settings,
    code=_transfer_code,
    arguments=training_arguments,
    made_for=lambda run: [
        {"study": study, "target": target, "recipe": recipe, "shard": shard}
        for study, target, recipe in run.transfers
        for shard in run.transfer_shards(study, target, recipe)
    ],
    shown=False,
)
SUMMARISE = Step(
    name="summary",
    script="compress_summary.py",
    title="Summarise {study} on {target} ({recipe})",
    outputs={"summary": SUMMARY},
    inputs=lambda run, w: {"shards": transfer_paths(run, w["study"], w["target"], w["recipe"])},
    made_for=lambda run: [
        {"study": transfer.study, "target": transfer.target, "recipe": transfer.recipe}
        for transfer in run.transfers.values()
        if transfer.summarised
    ],
)


def feature_paths(
    run: Run, study: str, dataset: str, split: str, of: tuple[str, str] | None = None
) -> list[str]:
    """The features that a capability asked for, shard by shard."""
    artefact, adapted = (
        (FEATURES, {}) if of is None else (ADAPTED_FEATURES, {"target": of[0], "recipe": of[1]})
    )
    shards = run.feature_shards(study, dataset, split, of)
    return shard_paths(run, artefact, study, shards, dataset=dataset, split=split, **adapted)


def _feature_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    dataset, split = wildcards["dataset"], wildcards["split"]
    images = betons(dataset, split)
    return {
        "source": SOURCE_MODELS.at(study=wildcards["study"], shard=wildcards["shard"]),
        "index": images["index"],
        "images": images[split],
    }


def _adapted_feature_inputs(run: Run, wildcards: Wildcards) -> dict[str, str]:
    names = {name: wildcards[name] for name in TRANSFER_RUNS.wildcards}
    return {"transfer": TRANSFER_RUNS.at(**names), **_feature_inputs(run, wildcards)}


def _feature_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {
        "architecture": run.architecture_of(wildcards["study"]),
        "input": run.input_of(wildcards["dataset"], wildcards["study"]),
        "split": wildcards["split"],
    }


def _with_features(adapted: bool) -> Any:
    """The shards whose features are asked for, of source models or of adapted ones."""
    return lambda run: [
        {"study": study, "dataset": dataset, "split": split, "shard": shard}
        | ({} if of is None else {"target": of[0], "recipe": of[1]})
        for study, dataset, split, of in run.features
        if (of is not None) == adapted
        for shard in run.feature_shards(study, dataset, split, of)
    ]


EXTRACT_FEATURES = Step(
    name="features",
    script="extract_features.py",
    title="Extract features of {study}, shard {shard}, on {dataset} ({split})",
    outputs={"features": FEATURES},
    inputs=_feature_inputs,
    settings=_feature_settings,
    made_for=_with_features(adapted=False),
    shown=False,
)
EXTRACT_ADAPTED_FEATURES = Step(
    name="adapted_features",
    script="extract_features.py",
    title="Extract features of {study}, shard {shard}, for {target} ({recipe}) on {dataset} ({split})",
    outputs={"features": ADAPTED_FEATURES},
    inputs=_adapted_feature_inputs,
    settings=_feature_settings,
    code=lambda run, w: run.recipe_code(w["target"], w["recipe"]),
    made_for=_with_features(adapted=True),
    shown=False,
)


def _feature_sizes(wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Examples are those of the split, whatever the models were adapted to."""
    examples = known.get(f"{wildcards['split']}_example")
    return {} if examples is None else {"example": examples}


def _transfer_sizes(run: Run, wildcards: Wildcards, known: Mapping[str, int]) -> dict[str, int]:
    """Sizes of a shard of transfers: its logs, heads, and what else is kept of every model."""
    study, target, recipe = (wildcards[name] for name in ("study", "target", "recipe"))
    given = run.recipe_section(run.recipe(target, recipe), "")
    sizes = {"log_quantity": len(LOG_QUANTITIES), "epoch": log_rows(given), "head": known["model"]}
    if _keeps_networks(run, study, target, recipe) and run.changes_backbone(target, recipe):
        sizes["weights"] = known["model"]
    if KINDS[given.kind].asked_for_by:
        sizes["remedy_class"] = given.classes
    for examples in reported(run, target, known).values():
        for kept in run.transfers[study, target, recipe].keeps.values():
            sizes["probe_example"] = min(kept["examples"], examples)
    return sizes


def _source_epochs(run: Run, wildcards: Wildcards) -> int:
    """Epochs in the logs of source models, or of the probes of given ones."""
    training = run.settings.source_training
    return log_rows(of_source(training)) if run.studies[wildcards["study"]].loads is None else training.epochs


def _require_blocks(where: str, recipe: RecipeSettings) -> None:
    """Refuse a recipe whose models its settings demand to be trained at once, which they cannot be.

    Recipes that an analysis derives have the demand from another one, and go one by one.
    """
    asked, kind = recipe.training.implementation, KINDS[recipe.kind]
    if asked in ("grouped", "graphs") and not (kind.in_blocks or kind.asked_for_by):
        able = ", ".join(kind.name for kind in KINDS.values() if kind.in_blocks)
        raise ConfigError(
            f"config: '{where}.implementation' is {asked}, but models of the recipe '{recipe.kind}' are "
            f"trained one by one; set it to auto (it can be {asked} for source models and for: {able})"
        )


class Training(Capability):
    """Source models, transfers and summaries; features of models on data sets."""

    name = "training"
    settings = (ReferenceStudy, PretrainedStudy)
    steps = (
        DRAW_MASKS,
        TRAIN_SOURCE,
        LOAD_PRETRAINED,
        TRANSFER,
        SUMMARISE,
        EXTRACT_FEATURES,
        EXTRACT_ADAPTED_FEATURES,
    )
    recipe_kinds = KINDS

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of logs and stacks of networks."""
        if made is TRANSFER_RUNS:
            return _transfer_sizes(run, wildcards, known)
        if made in (FEATURES, ADAPTED_FEATURES):
            return _feature_sizes(wildcards, known)
        stacked = {"weights": known["model"]} if made is SOURCE_MODELS else {}
        return {"log_quantity": len(LOG_QUANTITIES), "epoch": _source_epochs(run, wildcards), **stacked}

    def studies(self, run: Run) -> Iterator[Study]:
        """The reference models, and the pretrained ones if there are any."""
        # The whole source and nothing by turns.
        whole = {"masks": {"units": "classes"}, "seen": 0.5, "keeps_weights": True, "keeps_networks": True}
        if given := run.section(ReferenceStudy):
            yield Study(
                name="reference",
                kind="transferlens.core.studies:Reference",
                rows=2 * given.repeats,
                shard_size=given.shard_size,
                **whole,
            )
        if given := run.section(PretrainedStudy):
            yield Study(
                name="pretrained",
                kind="transferlens.core.studies:Pretrained",
                rows=2 * given.repeats,
                shard_size=given.shard_size,
                loads={**given.model_dump(include=LOADED), "named": PretrainedStudy.key},
                **whole,
            )

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """Both on every target by each of its recipes."""
        for target, recipe in run.adaptations:
            for study in ("reference", "pretrained"):
                if study in run.studies:
                    yield Transfer(study, target, recipe)

    def check(self, run: Run) -> None:
        """Refuse what models of a job cannot be trained by, and one stream of images for those that cannot
        share it."""
        training = run.settings.source_training
        _require_blocks("source_training", of_source(training))
        for name, given in run.settings.recipes.items():
            _require_blocks(f"recipes.{name}.training", run.recipe_section(given, ""))
        if run.settings.input.loading != "shared":
            return
        if training.objective == "simclr":
            raise ConfigError(
                "config: input.loading is shared, which has one view of an image, but "
                "source_training.objective simclr takes two; set input.loading to streaming"
            )
        if training.implementation != "auto":
            raise ConfigError(
                "config: input.loading is shared, so that source models are trained in turn, but "
                f"source_training.implementation is {training.implementation}; set it to auto, or "
                "input.loading to streaming"
            )

    def check_networks(self, run: Run) -> None:
        """Refuse networks that are not understood."""
        networks.check(run)
        _check_trainable(run)

    def check_data(self, run: Run) -> None:
        """Refuse given weights that do not fit the network or the source."""
        for study in run.studies.values():
            if study.loads:
                _check_weights(run, study.name, study.loads)
        _check_possible(run)


def _check_trainable(run: Run) -> None:
    """Refuse networks that a recipe cannot train."""
    tried = set()
    for study, target, name in run.transfers:
        recipe = run.recipe_section(run.recipe(target, name), "")
        given = json.dumps([run.architecture_of(study), recipe.model_dump()], sort_keys=True)
        if not KINDS[recipe.kind].needs or given in tried:
            continue
        tried.add(given)
        from transferlens.models import contract  # torch takes seconds to import

        architecture = NetworkSettings.read(run.architecture_of(study))
        implementation = resolve(KINDS[recipe.kind].path)
        if reason := implementation.refuses(recipe, contract.build(architecture, 2)):
            raise ConfigError(
                f"config: recipes.{name} of kind '{recipe.kind}' cannot train {architecture.title}: {reason}"
            )


def _check_possible(run: Run) -> None:
    """Refuse recipes by which a target cannot be learned; jobs do, where classes are not known yet."""
    for target, name in run.adaptations:
        recipe = run.recipe_section(run.recipe(target, name), "")
        try:
            task = Task(*(len(described(run, dataset)[0]) for dataset in (run.source, target)))
        except DataError:
            continue
        if reason := KINDS[recipe.kind].check(recipe, task):
            raise ConfigError(f"config: recipes.{name} is impossible for {target}: {reason}")


def _check_weights(run: Run, study: str, given: Mapping[str, str]) -> None:
    """Refuse given weights that will not do, before anything runs."""
    weights = given["weights"]
    if not is_name(weights) and not Path(weights).is_file() and _is_result(weights):
        return  # a rule of this run may make it
    from transferlens.training import pretrained  # torch takes seconds to import

    pretrained.check(
        pretrained.Given(weights, given["prefix"], named=given["named"]),
        described(run, run.source)[0] if given["head"] == "given" else None,
        NetworkSettings.read(run.architecture_of(study)),
    )


def _is_result(path: str) -> bool:
    return Path(RESULTS).resolve() in Path(path).resolve().parents


CAPABILITY = Training()
