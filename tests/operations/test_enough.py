"""More models until they are enough: a small workflow run again and again by the real Snakemake."""

import csv
import sys
from pathlib import Path

import pytest

from tests.runs import small_run
from transferlens.command.main import parser_of
from transferlens.core.errors import ArtefactError, ConfigError, TransferlensError
from transferlens.influence.stopping import Wanted
from transferlens.operations.enough import asking

REPOSITORY = Path(__file__).parents[2]
CONFIG = """
source: digits-and-clothes
targets: {optdigits: {}}
studies:
  influence: {design: complementary, models: 16, shard_size: 16}
  repeated: null
influence: {estimator: difference_of_means}
report: {output: p_true}
"""
SNAKEFILE = f"""
configfile: "config.yaml"
rule summary:
    output: "results/studies/influence/summary/optdigits/fixed.h5"
    params: models=config["studies"]["influence"]["models"]
    shell: "{sys.executable} make.py {{params.models}} {{output}}"
"""
# The first models are the same, however many there are; there are no more than 32.
MAKE = """
import sys
from pathlib import Path
import numpy as np
from tests.summaries import subset_rows, write_summary
from transferlens.estimation.designs import draw_masks
models, path = int(sys.argv[1]), Path(sys.argv[2])
with open("calls.txt", "a") as calls:
    print(models, file=calls)
if models > 32:
    sys.exit("error: the source's images are gone")
names = Path("units.txt").read_text().splitlines()
rng = np.random.default_rng(int(Path("luck.txt").read_text()))
masks = draw_masks("complementary", len(names), 0.5, 0, range(models))
noise = rng.normal(0, 0.05, (32, 20))[:models]
values = 0.5 + 0.2 * masks[:, [names.index("digit 3")]] + noise
classes = [f"digit {i}" for i in range(10)]
rows = subset_rows(masks, names, [""] * len(names))
write_summary(path, rows, np.arange(20) % 10, np.arange(20) // 10, classes, p_true=values)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    texts = {"config.yaml": CONFIG, "Snakefile": SNAKEFILE, "make.py": MAKE, "luck.txt": "0"}
    texts["units.txt"] = "\n".join(asking.unit_names(small_run()))
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def enough(*words):
    arguments = parser_of("enough").parse_args(words)
    arguments.work(arguments)


def calls(project):
    return [int(line) for line in (project / "calls.txt").read_text().split()]


def looks(project):
    with (project / "results/enough/optdigits/fixed.csv").open() as file:
        return list(csv.DictReader(file))


def test_it_stops_where_it_is_enough_and_goes_on_from_its_table(project, capsys):
    """Looks at 16, 32 and 64 models: with 16 the influence is known to +-.1, with 32 to +-.05."""
    of = ("--influence", "digit 3", "digit 3", "--most", "64")
    enough(*of, "--within", "0.06", "--sign")
    assert calls(project) == [16, 32]
    assert "Enough with 32 models" in capsys.readouterr().out
    first, second, third = looks(project)
    assert [row["models"] for row in (first, second, third)] == ["16", "32", "64"]
    assert [row["reached"] for row in (first, second, third)] == ["no", "yes", ""]
    assert float(first["confidence"]) == pytest.approx(1 - 0.05 / 3)
    assert (float(second["high"]) - float(second["low"])) / 2 <= 0.06
    assert float(second["low"]) < 0.2 < float(second["high"])
    assert not third["value"]

    # The configuration as it was advised: looks stay what was planned, and nothing is made again.
    (project / "config.yaml").write_text(CONFIG.replace("models: 16", "models: 32"))
    enough(*of, "--within", "0.06")
    assert calls(project) == [16, 32]
    with pytest.raises(ConfigError, match=r"planned at 16, 32, 64 models.*--most 64"):
        enough(*of[:3], "--most", "128", "--sign")
    with pytest.raises(ConfigError, match=r"looks with source_class 'digit 3', not 'bag'"):
        enough("--influence", "bag", "--most", "64", "--sign")
    (project / "config.yaml").write_text(CONFIG + "seed: 1")
    with pytest.raises(ConfigError, match="models of other settings"):
        enough(*of, "--sign")

    # A narrower wish goes on to 64 models, where the workflow fails: the looks that were made stay.
    (project / "config.yaml").write_text(CONFIG)
    before = looks(project)
    with pytest.raises(
        TransferlensError, match=r"^the source's images are gone \(all of it: .*enough\.log\)"
    ):
        enough(*of, "--within", "0.001")
    assert calls(project) == [16, 32, 64]
    assert [row["value"] for row in looks(project)] == [row["value"] for row in before]

    # Models that were trained anew are not those of the first looks.
    (project / "luck.txt").write_text("1")
    (project / "results/studies/influence/summary/optdigits/fixed.h5").unlink(missing_ok=True)
    with pytest.raises(ConfigError, match=r"its look at 16 models found .* they were trained anew"):
        enough(*of, "--within", "0.001")
    (project / "results/enough/optdigits/fixed.csv").write_text("models,value\n16,.2\n")
    with pytest.raises(ArtefactError, match=r"is no table of looks \(other columns\)"):
        enough(*of, "--sign")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing is asked for"),
        (("--sign",), "name at least one: --influence CLASS"),
        (("--influence", "bag"), "add what should be known of it: --within WIDTH, --sign"),
        (("--influence", "bga", "--sign"), "has no 'bga'.*did you mean 'bag'"),
        (("--influence", "bag", "digit 33", "--sign"), "has no 'digit 33'.*did you mean 'digit 3'"),
        (("--influence", "bag", "digit 3", "digit 4", "--sign"), "3 names; give a source class"),
        (("--reliability", "1"), "is not between 0 and 1"),
        (("--reliability", ".5", "--target", "optdigit"), "has no 'optdigit'.*did you mean 'optdigits'"),
        (("--reliability", ".5", "--recipe", "full"), "has no 'full'"),
        (("--reliability", ".5", "--output", "corect"), "has no 'corect'.*did you mean 'correct'"),
        (
            ("--reliability", ".5", "--most", "8"),
            "8 models are fewer than the 16 of studies.influence.models",
        ),
        (("--reliability", ".5", "--most", "40"), "40 models fill no shards; use 32 or 48"),
        (("--reliability", ".5", "--", "--config", "seed=1"), "no --config"),
        (("--reliability", ".5", "--", "all"), "'all' belongs to no option"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(project, words, message):
    with pytest.raises(ConfigError, match=message):
        enough("--most", "64", *words)
    assert not (project / "calls.txt").exists()
    assert not (project / "results").exists()


def test_a_width_must_be_one():
    for within in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="is no width above 0"):
            asking.wanted(None, within, sign=False)
    assert asking.wanted(0.8, 0.1, sign=True) == Wanted(0.8, 0.1, True)


def test_without_a_study_there_is_nothing_to_add():
    run = small_run(studies={"influence": None})
    with pytest.raises(ConfigError, match=r"studies\.influence is null"):
        asking.looks({}, run, 64, [])


def test_settings_are_read_as_the_workflow_reads_them(project):
    """Laid over config.yaml; or a study of its own, if they name a source and targets."""
    files = {
        "more.yaml": "studies: {influence: {models: 48}}\narchitecture: {name: resnet18}",
        "own.yaml": "source: a\ntargets: {b: {}}",
        "broken.yaml": "seed: 1\nseed: 2",
    }
    for name, text in files.items():
        (project / name).write_text(text)
    more, own, broken = (project / name for name in files)
    laid = asking.given_settings(project, [more])
    assert laid["studies"]["influence"] == {"design": "complementary", "models": 48, "shard_size": 16}
    assert (laid["source"], laid["architecture"]) == ("digits-and-clothes", {"name": "resnet18"})
    assert asking.given_settings(project, [own]) == {"source": "a", "targets": {"b": {}}}
    assert asking.given_settings(project, [own, more])["studies"] == {"influence": {"models": 48}}
    with pytest.raises(ConfigError, match=r"broken\.yaml.*'seed' stands there twice"):
        asking.given_settings(project, [broken])
