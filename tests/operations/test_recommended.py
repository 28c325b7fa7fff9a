"""A study that runs says how far it is and what failed; a finished one becomes a page with a recipe."""

import numpy as np
import pytest

from tests.operations.recommending import TARGET, composed, draw_photos, prices_of, question_about
from transferlens.comparison.compared.artefacts import COMPARISON
from transferlens.comparison.compared.artefacts import MEASURES as COMPARED
from transferlens.comparison.tuning.artefacts import CHOICE
from transferlens.core import artefacts
from transferlens.core.errors import TransferlensError
from transferlens.operations.recommend import kept, running, telling
from transferlens.operations.recommend.pricing import Job
from transferlens.relatedness import own_table
from transferlens.relatedness.own_table import Row


def test_time_left_follows_what_finished_jobs_took(tmp_path):
    jobs = [Job("trials", {}, [f"results/{i}.h5"], f"results/{i}.tsv") for i in range(4)]
    progress = running.Progress(tmp_path, jobs, [60.0, 60.0, 240.0, 240.0], cores=2)
    assert progress.line() == "0 of 4 jobs, about 5 min left"
    (tmp_path / "results").mkdir()
    for i in (0, 1):
        (tmp_path / f"results/{i}.h5").touch()
        (tmp_path / f"results/{i}.tsv").write_text("s\th:m:s\n240.0\t0:04:00\n")
    # Of a plan of 600 s, 60 s count as planned beside the 120 s that took 480 s: three times as long.
    assert progress.left(progress.done()) == pytest.approx(3 * 240)
    assert progress.line() == "2 of 4 jobs, about 12 min left"
    for i in (2, 3):
        (tmp_path / f"results/{i}.h5").touch()
    assert progress.line() == "all 4 jobs are done"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Building DAG\nerror: photos/a.png: not an image\nError in rule dataset:\n",
            "photos/a.png: not an image",
        ),
        ("transferlens: config: unknown key 'x'\n", "config: unknown key 'x'"),
        (
            "LockException in file:\nError: Directory cannot be locked. Please make sure that no other\n",
            "snakemake --unlock",
        ),
        ("", "Snakemake failed"),
    ],
)
def test_a_failure_is_the_line_of_the_job_that_failed(tmp_path, monkeypatch, text, found):
    quick = ["python", "-c", f"print({text!r}); raise SystemExit(1)"]
    monkeypatch.setattr(running, "command", lambda out, cores: quick)
    with pytest.raises(TransferlensError, match=found) as error:
        running.run(tmp_path, 1, running.Progress(tmp_path, [], [], 1), lambda line: None)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


MISSING = float("nan")
NAMES = ["full+tuned", "ema+tuned", "full+scratch"]


def blank(field, sizes):
    """What stands for nothing in a field."""
    nothing = "" if field.dtype is str else MISSING if field.dtype is np.float64 else 0
    return np.full([sizes.get(dim, 1) for dim in field.dims], nothing)


def write_comparison(path):
    """Three ways with accuracies .8, .85 and .6; EMA is recommended."""
    sizes = {"recipe": 3, "measure": len(COMPARED)}
    said = {
        "recipe": NAMES,
        "base": ["full", "ema", "full"],
        "from_scratch": [False, False, True],
        "measure": list(COMPARED),
        "probed": ["optdigits"],
        "left_out": ["delta"],
        "left_out_reason": ["it needs blocks in depth order"],
        "forgetting": [[-0.10], [-0.05], [MISSING]],
        "forgetting_low": [[-0.12], [-0.07], [MISSING]],
        "forgetting_high": [[-0.08], [-0.03], [MISSING]],
    }
    of_accuracy = {
        "value": [0.8, 0.85, 0.6],
        "value_low": [0.75, 0.8, 0.5],
        "value_high": [0.85, 0.9, 0.7],
        "difference": [MISSING, 0.05, -0.2],
        "difference_low": [MISSING, 0.01, -0.3],
        "difference_high": [MISSING, 0.09, -0.1],
        "difference_holm": [MISSING, 0.021, 0.0003],
    }
    words = {"recommended": "ema+tuned", "why": "It ranks first.", "surer": "More images."}
    with artefacts.create(path, COMPARISON) as out:
        for field in COMPARISON.fields:
            values = said.get(field.name, blank(field, sizes))
            if field.name in of_accuracy:
                values[:, list(COMPARED).index("accuracy")] = of_accuracy[field.name]
            if field.name == "missing":
                values = [["measured once" if name == "seconds" else "" for name in COMPARED]] * 3
            out.write(field.name, values)
        for name in COMPARISON.attributes:
            out.attribute(name, words.get(name, ""))


def write_choice(path):
    """A decay and a learning rate."""
    chosen = {"kind": "ema", "decay": 0.98, "training": {"lr": 0.0312345, "epochs": 11, "schedule": "cosine"}}
    chosen["training"]["step_epochs"] = 7  # which a cosine has not
    with artefacts.create(path, CHOICE) as out:
        for field in CHOICE.fields:
            out.write(field.name, blank(field, {}))
        for name in CHOICE.attributes:
            out.attribute(name, chosen if name == "recipe" else 0)


@pytest.fixture
def page(tmp_path):
    """Of a study that EMA won, and whose budget did not hold another recipe."""
    question = question_about(draw_photos(tmp_path))
    run = composed(question, tmp_path)
    write_comparison(tmp_path / COMPARISON.at(target=TARGET))
    write_choice(tmp_path / CHOICE.at(target=TARGET, recipe="ema+tuned"))
    plan = kept.Plan({}, ["full", "ema"], 3, prices_of(run), 100.0, {"ldifs": 7200.0})
    rows = [
        Row("probe", "accuracy", "accuracy, ridge", 0.7, 0.6, 0.8, "test images"),
        Row("score", "leep", "LEEP", MISSING, note="no head"),
    ]
    return telling.text(telling.Told(tmp_path, run, plan, question.target, question.kept, rows))


def test_the_recommended_recipe_stands_first_with_its_settings(page):
    assert "**Recommended: `ema`.**" in page
    assert "*Why, and how sure:* It ranks first." in page
    assert "*What would make it surer:* More images." in page
    assert "recipes:\n  ema:\n    kind: ema\n" in page
    assert "decay: 0.98" in page
    assert "lr: 0.03123," in page
    assert "step_epochs" not in page


def test_numbers_have_their_intervals(page):
    (line,) = (line for line in page.splitlines() if line.startswith("| **`ema`**"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:3] == ["85.0 % (80.0 to 90.0)", "+5.0 % (+1.0 to +9.0)"]
    assert cells[3:] == ["0.021", "-5.0 % (-7.0 to -3.0)", "–"]
    assert "`full` from scratch" in page
    assert "| accuracy, ridge | 0.7   | 0.6 to 0.8    | test images |" in page
    assert "* `full`, seconds of a training step, over plain fine-tuning's: measured once." in page


def test_what_was_not_tried_is_told_with_the_reason(page):
    assert (
        "`ldifs` (features are pulled to the source's, which is made against forgetting): its 2 core-" in page
    )
    assert "`delta`: it needs blocks in depth order." in page
    assert "No task to keep was named" in page
    assert "no head" in page


def test_scores_are_read_as_they_were_written(tmp_path):
    rows = [
        Row("probe", "a", "A", 0.5, 0.25, 0.75, "test images"),
        Row("score", "b", "B", MISSING, note="why"),
    ]
    own_table.write(tmp_path / "scores.csv", rows)
    assert list(map(repr, own_table.read(tmp_path / "scores.csv"))) == list(map(repr, rows))
