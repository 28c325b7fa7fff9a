"""The fuzzer: a fixed seed of each group finds nothing, and what must not be is told when it is there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from fuzzing import children, outcomes, written  # noqa: E402
from fuzzing.cases import Case  # noqa: E402
from fuzzing.outcomes import Outcome  # noqa: E402

NAMES = [f"step {i}" for i in range(100)]
LIMITS = children.Limits(cpu=2, asleep=2, memory=1 << 28)


def fuzz(*arguments) -> subprocess.CompletedProcess:
    """The fuzzer as a process: its cases are forks, which this one with its threads is not made for."""
    command = [sys.executable, BENCHMARKS / "fuzz.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(("groups", "cases"), [(["config"], 50), (["data", "checkpoints"], 10)])
def test_nothing_wrong_gets_in(groups, cases):
    done = fuzz("--seed", 17, "--cases", cases, "--only", *groups)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (lambda: time.sleep(100), outcomes.HANG),
        (lambda: os.read(os.pipe()[0], 1), outcomes.HANG),
        (lambda: sum(1 for _ in iter(int, 1)), outcomes.HANG),
        (os.abort, outcomes.CRASH),
    ],
)
def test_a_case_that_does_not_end_well_is_told(work, kind, tmp_path):
    def case(report):
        report.begin("work")
        work()

    assert [(o.action, o.kind) for o in children.attempt(case, tmp_path, LIMITS)] == [("work", kind)]


def running_in(session: int) -> list[str]:
    """States of the processes of a session that have not ended."""
    found = [
        Path(entry.path, "stat").read_text().rpartition(")")[2].split()
        for entry in os.scandir("/proc")
        if entry.name.isdigit()
    ]
    return [words[0] for words in found if int(words[3]) == session and words[0] != "Z"]


def test_what_is_left_running_is_ended(tmp_path):
    def case(report):
        if not os.fork():
            time.sleep(1000)
        report.add(Outcome("work", outcomes.HARMLESS, str(os.getpid())))

    (outcome,) = children.attempt(case, tmp_path, LIMITS)
    for _ in range(1000):  # the system takes a while to end it
        if not running_in(int(outcome.text)):
            return
        time.sleep(0.05)
    pytest.fail("it still runs")


@pytest.mark.parametrize(
    ("line", "lacks"),
    [
        ("a.h5: damaged; delete it: rm results/a.h5", []),
        ("a.h5: damaged", ["no cure"]),
        ("b.h5: damaged; delete it", ["names nothing that was touched"]),
        ("a.h5: damaged\ndelete it", ["several lines"]),
        ("a.h5: \x1b[31mdamaged; delete it", ["control characters"]),
        ("a.h5: damaged; rm /etc/passwd", ["tells to remove /etc/passwd"]),
        ("a.h5: damaged; rm results/../../etc/passwd", ["tells to remove results/../../etc/passwd"]),
        ("a.h5: delete it " + "x" * 400, ["416 characters"]),
    ],
)
def test_a_line_without_thing_finding_or_cure_is_told(line, lacks):
    assert outcomes.faults(line, ["a.h5"]) == lacks


@pytest.mark.parametrize(
    ("text", "found", "wrong"),
    [
        ("a: 1\nb: [x, 2.0]\n", {"a": 1, "b": ["x", 2.0]}, 0),
        ("a: 1e-3", {"a": 0.001}, 0),
        ("a: 3", {"a": 3.0}, 0),
        ("a: 1\na: 2", {"a": 2}, 1),
        ("a: '3'", {"a": 3}, 1),
        ("a: 3.0", {"a": 3}, 1),
        ("a: true", {"a": 1}, 1),
        ("a: null", {"a": 16}, 1),
        ("a: {b: 1}", {"a": {}}, 1),
        ("a: [1, 2]", {"a": [1]}, 1),
    ],
)
def test_what_was_taken_otherwise_than_it_is_written_is_told(text, found, wrong):
    assert len(written.differences(written.read_strictly(text.encode()), found)) == wrong


def test_a_case_is_the_same_by_its_name_and_a_part_of_it_is_that_part():
    whole = Case(17, "config", 3).steps(NAMES)
    assert Case.of("17:config-3").steps(NAMES) == whole
    assert Case.of("17:config-3:0").steps(NAMES) == whole[:1]
    assert str(Case(17, "config", 3, (0, 2))) == "17:config-3:0,2"
    assert Case(18, "config", 3).steps(NAMES) != whole != Case(17, "config", 4).steps(NAMES)
