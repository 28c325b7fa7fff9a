"""What the page says of colours."""

from transferlens.core.blocks import Card, Cards, Section, adaptation


def sections(run, results):
    for step in run.jobs_of("colours"):
        made = results.colours(step["target"], step["recipe"])
        card = Card("confidence of the toy", f"{float(made.confidence.sel(half='report')):.3f}")
        yield Section("Toy colours", "colours", (Cards((card,)),), adaptation(step["target"], step["recipe"]))
