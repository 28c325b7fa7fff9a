"""The rows of a study that removes blocks of source images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import artefacts
from transferlens.core.errors import ConfigError
from transferlens.core.studies import Rows, Units
from transferlens.counterfactual.orders import Cells, Evidence, removal_rows
from transferlens.data.artefacts import HALVES
from transferlens.data.index import Index


class BlockRemovals:
    """All blocks of source images but the first k of an order, paired with full-source models by seed."""

    @staticmethod
    def draw(
        settings: Mapping[str, Any], units: Units, rows: range, evidence: Mapping[str, Path], source: Index
    ) -> Rows:
        """Rows of the study.

        Args:
            evidence: `example_influence`, which ranks the blocks.

        Raises:
            ConfigError: more blocks to remove than there are.
        """
        cells, blocks = Cells(settings["orders"], settings["ks"]), len(units.names)
        if max(cells.ks) > blocks:
            raise ConfigError(
                f"config: studies.block_removals.ks contains {max(cells.ks)}, but the source has {blocks} "
                f"blocks of {settings['units']} images; use at most {blocks}"
            )
        with artefacts.open(evidence["example_influence"], "example influence") as file:
            effect = file[f"{settings['output']}/overall_effect"][HALVES.index("select")]
        images = np.bincount(units.of_images, minlength=blocks)
        return removal_rows(cells, Evidence(effect, images), units, rows, settings["seed"])
