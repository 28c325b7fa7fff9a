"""A Slurm on this machine, for tests and benchmarks: real daemons, on loopback, in one folder.

It has one node, and a second one, `far`, that comes and goes: a daemon with a host name of its own, so that
its jobs see another host. A node claims more CPUs, memory and GPUs than the machine may have (the GPUs are
device files that do nothing); memory and time limits are enforced. Jobs look for the configuration in
/etc/slurm, so only one can run, as root, and only where no other Slurm is configured.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

SYSTEM = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
MARK = "ClusterName=transferlens-test"
SECONDS_TO_REQUEUE = 5  # a job of a lost node waits until its credential has expired, by default 120 s
CPUS, MEMORY_MB, GPUS = 8, 64000, 4
FAR = "far"
SLURM = ("slurmd", "slurmstepd", "srun")

CONFIGURATION = """{mark}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire={seconds_to_requeue}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
# Processes are found and measured through /proc: no cgroups, no systemd.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
KillWait=2
MpiDefault=none
MailProg=/bin/true
# A job starts as soon as its CPUs, memory and GPUs are free.
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=300
AccountingStorageType=accounting_storage/none
NodeName=DEFAULT CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus}
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} State=UNKNOWN
NodeName={far} NodeAddr=127.0.0.1 Port={far_port} State=DOWN
PartitionName=cpu Nodes={host},{far} Default=YES MaxTime=1-0 State=UP
PartitionName=gpu Nodes={host},{far} MaxTime=1-0 State=UP
"""


def missing() -> list[str]:
    """What keeps a Slurm of our own from running here, in words."""
    programs = {"slurmctld": "slurm-wlm", "slurmd": "slurm-wlm", "srun": "slurm-wlm", "munged": "munge"}
    packages = {f"the Debian package {package}": shutil.which(name) for name, package in programs.items()}
    plugin = "snakemake-executor-plugin-slurm"
    needs = {
        "root": os.getuid() == 0,
        **packages,
        f"the Python package {plugin}": importlib.util.find_spec(plugin.replace("-", "_")),
        f"a machine without a Slurm of its own ({SYSTEM})": not _other_slurm(),
    }
    return [name for name, there in needs.items() if not there]


def _other_slurm() -> bool:
    """Whether a configuration that is not a leftover of ours is in place."""
    found = SYSTEM / "slurm.conf"
    return found.exists() and MARK not in found.read_text(errors="replace")


@contextmanager
def running_slurm(folder: Path):
    """Start Slurm with all its state in `folder`; stop it at the end."""
    folder.chmod(0o755)
    _write_configuration(folder)
    daemons: dict[str, subprocess.Popen] = {}
    try:
        _start(folder, daemons)
        yield Slurm(folder, daemons)
    finally:
        _stop(folder, daemons)


class Slurm:
    """Handles on the running daemons."""

    def __init__(self, folder: Path, daemons: dict[str, subprocess.Popen]):
        self.folder, self.daemons = folder, daemons
        self.node = _host()

    def stop_controller(self) -> None:
        """As in an outage of the cluster's head: jobs go on, nothing is answered."""
        self.daemons["slurmctld"].terminate()
        self.daemons.pop("slurmctld").wait()

    def start_controller(self) -> None:
        self.daemons["slurmctld"] = _spawn(self.folder, "slurmctld", "-D")
        _wait_until(lambda: ask("scontrol", "ping", check=False).returncode == 0, "slurmctld")

    def set_node(self, state: str, node: str = "") -> None:
        """`drain` (jobs end, none start), `resume` or `down` a node; by default the first."""
        ask("scontrol", "update", f"nodename={node or self.node}", f"state={state}", "reason=test")

    def start_far(self) -> None:
        """Let the second node come, under a host name of its own."""
        renamed = f"echo {FAR} > /proc/sys/kernel/hostname && exec slurmd -D -N {FAR}"
        self.daemons[FAR] = _spawn(self.folder, "unshare", "--uts", "sh", "-c", renamed)
        _wait_until(lambda: self._state_of_far("resume") == "idle", "the second node")
        self._far_host = _host_of(psutil.Process(self.daemons[FAR].pid))

    def _state_of_far(self, wanted: str) -> str:
        """Its state, after asking for another one; Slurm refuses until its daemon has answered."""
        ask("scontrol", "update", f"nodename={FAR}", f"state={wanted}", check=False)
        return ask("sinfo", "-h", "-n", FAR, "-o", "%T", check=False).stdout.split("\n")[0]

    def lose_far(self) -> list[psutil.Process]:
        """The second node does not answer any more: Slurm's processes there die, and what it ran is stopped.

        Returns:
            The stopped processes.
        """
        there = [process for process in psutil.process_iter() if _host_of(process) == self._far_host]
        ran = []
        for process in there:
            with suppress(psutil.NoSuchProcess):  # some end by themselves meanwhile
                if process.name() in SLURM:
                    process.kill()
                else:
                    process.suspend()
                    ran.append(process)
        self.daemons.pop(FAR).wait()
        self.set_node("down", FAR)
        return ran


def _host_of(process: psutil.Process) -> str:
    """What tells the processes under one host name from those under another; '' when it has ended."""
    with suppress(OSError):
        return os.readlink(f"/proc/{process.pid}/ns/uts")
    return ""


def ask(*command: str, check: bool = True) -> subprocess.CompletedProcess:
    """A Slurm command's output."""
    return subprocess.run(command, capture_output=True, text=True, check=check)


def _write_configuration(folder: Path) -> None:
    (folder / "dev").mkdir()
    for number in range(GPUS):
        os.mknod(folder / f"dev/nvidia{number}", 0o20666, os.makedev(1, 3))  # as /dev/null
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    controller_port, node_port, far_port = _free_ports(3)
    text = CONFIGURATION.format(
        mark=MARK,
        host=_host(),
        folder=folder,
        controller_port=controller_port,
        node_port=node_port,
        far=FAR,
        far_port=far_port,
        cpus=CPUS,
        memory=MEMORY_MB,
        seconds_to_requeue=SECONDS_TO_REQUEUE,
        gpus=GPUS,
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/dev/nvidia[0-{GPUS - 1}]\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    SYSTEM.mkdir(exist_ok=True)
    for name in FILES:
        (SYSTEM / name).unlink(missing_ok=True)  # a leftover of ours: `missing` refuses any other
        (SYSTEM / name).symlink_to(folder / name)


def _start(folder: Path, daemons: dict[str, subprocess.Popen]) -> None:
    munge = [f"--{name}={folder}/munge{suffix}" for name, suffix in _MUNGE_FILES.items()]
    daemons["munged"] = _spawn(folder, "munged", "--foreground", "--force", *munge)
    _wait_until((folder / "munge.sock").exists, "munged")
    daemons["slurmctld"] = _spawn(folder, "slurmctld", "-D")
    daemons["slurmd"] = _spawn(folder, "slurmd", "-D")
    _wait_until(lambda: "idle" in ask("sinfo", "-h", "-o", "%T", check=False).stdout, "the node")


_MUNGE_FILES = {
    "key-file": ".key",
    "socket": ".sock",
    "pid-file": "d.pid",
    "log-file": "d.log",
    "seed-file": "d.seed",
}


def _stop(folder: Path, daemons: dict[str, subprocess.Popen]) -> None:
    if "slurmctld" in daemons:
        ask("scancel", "--user=root", check=False)
        _wait_until(lambda: not ask("squeue", "-h", check=False).stdout.strip(), "jobs to end", fail=False)
    for name in (FAR, "slurmd", "slurmctld", "munged"):
        if name in daemons:
            daemons[name].terminate()
            daemons[name].wait(timeout=30)
    for name in FILES:
        link = SYSTEM / name
        if link.is_symlink() and link.readlink() == folder / name:
            link.unlink()


def _spawn(folder: Path, program: str, *arguments: str) -> subprocess.Popen:
    with (folder / f"{program}.out").open("ab") as log:
        return subprocess.Popen([program, *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _wait_until(ready, what: str, seconds: float = 20, fail: bool = True) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            if fail:
                raise TimeoutError(f"a local Slurm: waited {seconds} s for {what}")
            return
        time.sleep(0.1)


def _host() -> str:
    return socket.gethostname().split(".")[0]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
