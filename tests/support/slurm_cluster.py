"""A private SLURM cluster of one node on loopback, with all its files in one folder.

It has its own munge key and socket, so it meets no other cluster of the machine. slurmd starts
the jobs as the caller; run as root it needs no other user.
"""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")

SLURM_CONF = """
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
KillWait=5
MinJobAge=300
SchedulerParameters=batch_sched_delay=0,sched_interval=5
JobRequeue=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=60 State=UP OverSubscribe=FORCE:4
"""


def missing_programs():
    """Return the programs that are needed and not there."""
    return [name for name in PROGRAMS if not shutil.which(name, path=_path())]


@contextlib.contextmanager
def running(folder):
    """Bring up the cluster, yield the environment variables of its clients, and take it down."""
    folder, host = Path(folder), socket.gethostname().split(".")[0]
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700, parents=True)
    folder.chmod(0o755)
    (folder / "munge").chmod(0o711)  # munged wants its socket to be reachable
    values = {"folder": folder, "host": host, "ports": _free_ports(2), "user": getpass.getuser()}
    conf = folder / "slurm.conf"
    conf.write_text(SLURM_CONF.format(cpus=os.cpu_count(), **values))
    env = os.environ | {"SLURM_CONF": str(conf), "PATH": _path()}
    key, munge = folder / "munge" / "key", folder / "munge"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    daemons = []

    def start(*words):
        log = open(folder / f"{words[0]}.out", "ab")
        daemons.append(subprocess.Popen(words, env=env, stdout=log, stderr=log))
        return daemons[-1]

    try:
        munge_words = [f"--socket={munge}/socket", f"--key-file={key}", f"--pid-file={munge}/pid"]
        munge_words += [f"--seed-file={munge}/seed", f"--log-file={munge}/log", "--force"]
        start("munged", "--foreground", *munge_words)
        _wait(lambda: (munge / "socket").exists(), folder)
        start("slurmctld", "-D", "-f", str(conf))
        start("slurmd", "-D", "-f", str(conf), "-N", host)

        def idle():
            words = ["sinfo", "--noheader", "--format=%T"]
            done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=30)
            return done.stdout.strip() == "idle"

        _wait(idle, folder)
        yield {"SLURM_CONF": str(conf), "PATH": env["PATH"]}
    finally:
        subprocess.run(["scancel", "--me", "--quiet"], env=env, capture_output=True, timeout=60)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in reversed(daemons):
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _path():
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait(condition, folder, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            logs = [*folder.glob("*.log"), *folder.glob("*.out"), folder / "munge" / "log"]
            tails = [f"{p.name}:\n{p.read_text()[-1500:]}" for p in logs if p.exists()]
            raise RuntimeError("the cluster did not come up\n" + "\n".join(tails))
        time.sleep(0.3)
