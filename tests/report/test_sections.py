"""Sections of capabilities that a run does without are left out of its page."""

from types import SimpleNamespace

from transferlens.capabilities import run_of

NOTHING = {
    "memories": None,
    "heatmaps": None,
    "influence_maps": None,
    "studies": {"influence": None, "counterfactual": None, "repeated": None, "reference": None},
}


def test_a_run_without_analyses_has_no_sections_of_them(tmp_path):
    run = run_of({"source": "digits-and-clothes", "targets": {"optdigits": {}}, **NOTHING})
    results = SimpleNamespace(folder=tmp_path)
    made = {c.name: list(c.sections(run, results)) for c in run.capabilities if c.name != "report"}
    assert not any(made.values())
