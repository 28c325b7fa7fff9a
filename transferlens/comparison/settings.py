"""The settings of the comparison of recipes."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from transferlens.core.configuration import CapabilitySection
from transferlens.core.settings import Fraction, Section, different, refuse

Corruption = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "contrast",
    "brightness",
    "pixelate",
    "jpeg",
]
# Beyond these, influences by recipe take more models than all the rest.
MOST_INFLUENCES = 4
_Factor = Annotated[float, Field(ge=1)]


def _one_trial(trials: Any) -> Any:
    if isinstance(trials, int) and trials < 1:
        refuse(
            f"comparison.trials is {trials}, a budget below one trial a recipe; give 1 for the settings as "
            "they are written, or more to tune them"
        )
    return trials


class SearchSettings(Section):
    """How far trials go from the settings as written; what a recipe has of its own has its own range."""

    lr: _Factor = Field(
        5.0,
        description="The learning rate is drawn between its written value divided by this and multiplied by "
        "it, log-uniformly; 1 for the written one.",
    )
    weight_decay: _Factor = Field(10.0, description="Likewise of the weight decay.")
    epochs: _Factor = Field(
        2.0, description="Likewise of the epochs, and with them of the epochs of the schedule."
    )
    own: bool = Field(
        True, description="Whether what a recipe has of its own (strengths, radii, ranks) is drawn, too."
    )


class CorruptionSettings(Section):
    """Corruptions of the target's evaluation images."""

    names: Annotated[list[Corruption], AfterValidator(different)] = Field(
        ["gaussian_noise", "defocus_blur", "contrast", "jpeg"], description="Which; none to do without."
    )
    severities: Annotated[list[Annotated[int, Field(ge=1, le=5)]], AfterValidator(different)] = Field(
        [1, 3, 5], min_length=1, description="How severe, of 1 to 5."
    )


class CompositeSettings(Section):
    """Target images pasted on images of source classes, of the report halves of both."""

    number: int = Field(
        1500,
        ge=2,
        description="How many: as many of each source class, and at least one. Every model of study "
        "`influence` answers to each twice.",
    )
    side: Fraction = Field(0.6, description="Side of the pasted image, as a fraction of the network input's.")
    smallest_side: int = Field(
        12, ge=1, description="None are made if the pasted image has fewer pixels a side than this."
    )


class ComparisonSettings(CapabilitySection):
    """Recipes tuned alike and compared on what matters, on every target; null for none."""

    key: ClassVar[str] = "comparison"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    recipes: Annotated[list[str], AfterValidator(different)] | None = Field(
        None,
        description="The recipes (keys of `recipes`) that are compared, on every target and each of its "
        "sizes; null for all. Those that a network or a target cannot have are left out with the reason.",
    )
    plain: str = Field(
        "full",
        description="The recipe that the others are compared with; models from scratch are trained by it, "
        "too, with settings chosen for them.",
    )
    source: Literal["trained", "pretrained"] = Field(
        "trained",
        description="Which models are adapted: those `trained` here on all of the source (study "
        "`reference`), or the `pretrained` ones (`studies.pretrained`).",
    )
    models: int = Field(
        5, ge=2, description="Models that report: the first repeats of their study, each with its own seeds."
    )
    choosing: int = Field(
        1, ge=1, description="Models that trials are made with: the next repeats of the study."
    )
    trials: Annotated[int, BeforeValidator(_one_trial)] = Field(
        12, ge=1, description="Trials of each recipe; the first has the settings as they are written."
    )
    shard_size: int = Field(
        12, ge=1, description="Trials trained in one job, one file; the unit of resumption."
    )
    held_out: Fraction = Field(
        0.2,
        description="Share of every class's training images that trials are chosen on (at least two), and "
        "not trained on; the chosen settings are then trained on all.",
    )
    search: SearchSettings = Field(SearchSettings(), description="What trials vary.")
    others: Annotated[list[str], AfterValidator(different)] = Field(
        [],
        description="Further data sets on which forgetting is measured, beside the source, by fresh linear "
        "probes.",
    )
    probe_images: int = Field(
        50,
        ge=4,
        description="Training images of a class that such a probe is fitted with, at most; and evaluation "
        "images of a class that it is tried on.",
    )
    corruptions: CorruptionSettings = Field(
        CorruptionSettings(), description="Robustness: what evaluation images are corrupted by."
    )
    influences: Annotated[list[str], AfterValidator(different)] = Field(
        [],
        max_length=MOST_INFLUENCES,
        description="Recipes, at most four, of which the models of study `influence` are adapted, too: what "
        "the most harmful source classes do under each, and interference. Not on parts of a target.",
    )
    harmful: int = Field(
        5, ge=1, description="Most harmful source classes, chosen by other models, that these are told of."
    )
    composites: CompositeSettings = Field(
        CompositeSettings(), description="What models of study `influence` are asked for interference."
    )
    published: bool = Field(
        True,
        description="Whether the chosen settings are also trained as papers report: the best epoch on the "
        "test images, the better of several heads. Kept under its own name, to show what that adds.",
    )

    @model_validator(mode="after")
    def _trials_differ(self) -> Self:
        search = self.search
        if self.trials > 1 and not search.own and max(search.lr, search.weight_decay, search.epochs) == 1:
            refuse(
                f"comparison.trials is {self.trials}, but comparison.search varies nothing; set trials: 1, "
                "or let it vary something"
            )
        return self
