"""What the page says of scores."""

from collections.abc import Iterator

from transferlens.core.blocks import Results, Section
from transferlens.core.run import Run


def sections(run: Run, results: Results) -> Iterator[Section]:
    return iter(())
