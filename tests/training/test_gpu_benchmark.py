"""The script for a GPU runs end to end on a CPU, so that no time is lost on one; and its checks can fail."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
QUICK = ["--device", "cpu", "--quick", "--seconds", "0"]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("benchmark_of_a_gpu", BENCHMARKS / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_script_prints_its_checks_and_its_table(benchmark, capsys):
    assert benchmark.main(QUICK) == 0
    printed = capsys.readouterr().out
    assert "4 models after 2 steps in float32: passed" in printed
    table = printed[printed.index("in flight  ") :].splitlines()
    assert [line.split()[:2] for line in table[1:4]] == [
        ["sequential", "1"],
        ["graphs", "1"],
        ["graphs", "2"],
    ]


def test_models_that_depend_on_the_number_in_flight_fail_the_check(benchmark, monkeypatch, capsys):
    real = benchmark.side_by_side

    def otherwise(jobs, models, step):
        return real(jobs[::-1] if models == 1 else jobs, models, step)

    monkeypatch.setattr(benchmark, "side_by_side", otherwise)
    task = benchmark.smaller(benchmark.default(torch.device("cpu")))
    assert not benchmark.check(task, benchmark.QUICK)
    assert "FAILED" in capsys.readouterr().out
