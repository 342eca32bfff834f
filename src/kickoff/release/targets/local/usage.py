"""Memory and processor time of a process on this host, and the processors it may use."""

import os
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")


def usage(pid: int) -> tuple[int, float, float]:
    """Return memory and processor time of a process with its children, and how many processors it may use."""
    memory, cpu = 0, 0.0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        allowed = processors(pid)
    except (psutil.Error, OSError):
        return 0, 0.0, 1.0
    for process in family:
        try:
            memory += process.memory_info().rss
            times = process.cpu_times()
            cpu += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return memory, cpu, allowed


def processors(pid: int) -> float:
    """Return how many processors a process may use: by its affinity and its control groups' quotas."""
    allowed = float(len(os.sched_getaffinity(pid)))
    groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    own = next((line.removeprefix("0::") for line in groups if line.startswith("0::")), "/")
    folder = CGROUPS / own.strip("/")
    for group in (folder, *folder.parents):
        try:
            quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        except FileNotFoundError:
            continue
        if quota != "max":
            allowed = min(allowed, int(quota) / int(period))
    return allowed
