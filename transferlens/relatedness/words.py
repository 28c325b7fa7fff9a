"""What models, transforms and parts of the bound are called."""

from transferlens.core.studies import FULL, PRETRAINED, REMOVAL, SCRATCH, SUBSET

ROLES = {
    FULL: "whole source",
    PRETRAINED: "given weights",
    SUBSET: "some source classes",
    REMOVAL: "without some source classes",
    SCRATCH: "random network (control)",
}
# The same where there is little room.
SHORT_ROLES = {
    FULL: "whole\nsource",
    PRETRAINED: "given\nweights",
    SUBSET: "some\nclasses",
    REMOVAL: "classes\nremoved",
    SCRATCH: "random\nnetwork",
}
# The parts that the bound is the sum of.
PARTS = {
    "reference_loss": "re-weighted reference loss",
    "label_mismatch": "label mismatch",
    "transport": "Lipschitz constant x Wasserstein distance",
    "prior_gap": "prior gap",
}
