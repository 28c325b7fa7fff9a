"""What a cluster would refuse or never start, found before anything is submitted."""

import pytest

from transferlens.core.errors import ClusterError
from transferlens.operations.cluster import (
    Nodes,
    Request,
    ask,
    minutes_of,
    parse_sinfo,
    refuse_impossible,
    refuse_silent_status,
)

SINFO = """\
cpu|64|256000|(null)|infinite
gpu|32|128000|gpu:a100:4(S:0-1),shard:8|1-00:00:00
gpu|96+|512000+|gpu:a100:4(S:0-1),gpu:v100:2|1-00:00:00
"""
NODES = parse_sinfo(SINFO)


def request(**changes):
    asked = {"partition": "gpu", "cpus": 8, "memory_mb": 8000, "gpus": 1, "minutes": 240, "needs_torch": True}
    return Request("train_source", **{**asked, **changes})


def test_partitions_are_read_from_sinfo():
    found = parse_sinfo(SINFO)
    assert found == [
        Nodes("cpu", 64, 256000, 0, None),
        Nodes("gpu", 32, 128000, 4, 1440),
        Nodes("gpu", 96, 512000, 6, 1440),
    ]


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("2-01:30:00", 2970), ("04:30:00", 270), ("30:00", 30), ("infinite", None), ("n/a", None)],
)
def test_time_limits_are_minutes(limit, minutes):
    assert minutes_of(limit) == minutes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"partition": "cpu", "gpus": 0, "minutes": 10**6},
        {"partition": "cpu,gpu"},
        {"partition": None, "cpus": 1000},
        {"memory_mb": None, "minutes": None},
        {"cpus": 96, "memory_mb": 512000, "gpus": 6, "minutes": 1440},
    ],
)
def test_what_a_node_has_is_granted(changes):
    refuse_impossible([request(**changes)], NODES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"partition": "gpus"},
            "train_source is for partition 'gpus', which this cluster does not have (did you mean 'gpu'?)",
        ),
        ({"partition": "long"}, "does not have (known: cpu, gpu); change slurm_partition"),
        ({"memory_mb": 900}, "asks for 900 MB of memory, but needs at least 1500"),
        ({"memory_mb": 500, "needs_torch": False}, "asks for 500 MB of memory, but needs at least 600"),
        ({"partition": "cpu"}, "asks for 1 GPUs, but no node of partition 'cpu' has more than 0; lower gpu"),
        ({"cpus": 128}, "asks for 128 CPUs, but no node of partition 'gpu' has more than 96"),
        (
            {"memory_mb": 600000, "attempt": 3},
            "train_source (attempt 3) asks for 600000 MB of memory, but no node of partition 'gpu' has "
            "more than 512000; lower mem_mb",
        ),
        ({"minutes": 1441}, "asks for 1441 minutes, but partition 'gpu' allows 1440: it would wait for ever"),
    ],
)
def test_what_no_node_has_is_named_with_its_cure(changes, message):
    with pytest.raises(ClusterError) as error:
        refuse_impossible([request(), request(**changes)], NODES)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_one_node_must_have_all_of_it():
    nodes = [Nodes("mixed", 8, 64000, 4, None), Nodes("mixed", 64, 64000, 0, None)]
    with pytest.raises(ClusterError, match="no single node of partition 'mixed'"):
        refuse_impossible([request(partition="mixed", cpus=32)], nodes)


KEPT = "AccountingStorageType   = accounting_storage/slurmdbd\nMinJobAge               = {} sec\n"
NONE = "AccountingStorageType   = accounting_storage/none\nMinJobAge               = {} sec\n"


@pytest.mark.parametrize(
    ("command", "pause", "configuration"),
    [("squeue", 10, NONE.format(300)), ("sacct", 40, KEPT.format(2)), ("squeue", 40, KEPT.format(300))],
)
def test_a_status_that_will_be_known_is_accepted(command, pause, configuration):
    refuse_silent_status(command, pause, configuration)


@pytest.mark.parametrize(
    ("command", "pause", "configuration", "message"),
    [
        ("sacct", 10, NONE.format(300), "keeps no accounts .* `slurm-status-command: squeue`"),
        ("squeue", 10, NONE.format(60), "forgets ended jobs after 60 s .* ask the administrators"),
        ("squeue", 120, KEPT.format(300), "every 360 s .* `slurm-status-command: sacct`"),
    ],
)
def test_a_silent_wait_is_refused(command, pause, configuration, message):
    with pytest.raises(ClusterError, match=message):
        refuse_silent_status(command, pause, configuration)


def test_a_machine_without_slurm_is_named():
    with pytest.raises(
        ClusterError, match=r"there is no 'sinfo-of-nowhere' on this machine; start Snakemake"
    ):
        ask("sinfo-of-nowhere")
