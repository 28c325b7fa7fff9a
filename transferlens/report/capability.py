"""The page: what every capability says of the run, in one file."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Section
from transferlens.core.capability import Beside, Capability, Step, Wildcards
from transferlens.core.run import Run

# Where data lie and whether they may be fetched changes nothing that a page says.
_ELSEWHERE = {"data_root", "download"}


# What the numbers mean; a copy of the project may lack it.
EXPLAINED = Path(__file__).resolve().parents[2] / "docs/statistics.md"


def _explained(run: Run, wildcards: Wildcards) -> dict[str, str]:
    return {"explained": str(EXPLAINED)} if EXPLAINED.exists() else {}


def _settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    return {key: value for key, value in run.as_given().items() if key not in _ELSEWHERE}


def _pages(run: Run, wildcards: Wildcards) -> list[str]:
    """The modules that say something on the page, each beside its capability."""
    modules = [f"transferlens.{capability.name}.page" for capability in run.capabilities]
    return [module for module in modules if find_spec(module)]


REPORT = Step(
    name="report",
    script="write_report.py",
    title="Write the page",
    outputs={"page": Beside("report/index.html"), "methods": Beside("report/statistics.html")},
    inputs=_explained,
    settings=_settings,
    code=_pages,
    waits_for=lambda run: run.shown(),
    made_for=lambda run: [{}],
    shown=False,
)


# Bytes of the page of methods.
_METHODS_BYTES = 30_000


class Report(Capability):
    """What was run, and where its numbers come from."""

    name = "report"
    steps = (REPORT,)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """The page of methods is words alone."""
        return {"bytes": _METHODS_BYTES} if made is REPORT.outputs["methods"] else {}

    def sections(self, run: Run, results: Any) -> Iterator[Section]:
        """What was run, and where the numbers come from."""
        from transferlens.report import page

        return page.sections(run, results)


CAPABILITY = Report()
