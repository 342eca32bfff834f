"""Memory and processor time of the container as the kernel counts them, where there is a limit."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_CGROUP = Path("/sys/fs/cgroup")
# Used, limit, and where the other figures stand, in both versions of control groups.
_FILES = (
    ("memory.current", "memory.max", "memory.stat", "inactive_file", "memory.events"),
    (
        "memory/memory.usage_in_bytes",
        "memory/memory.limit_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
        "memory/memory.oom_control",
    ),
)
_NO_LIMIT = 1 << 60


class ContainerUsage(Collector):
    """Memory and processor time in use, their limits, and how many processes were killed for want of memory.

    Args:
        folder: Where the control group is mounted.
    """

    def __init__(self, folder: Path = _CGROUP) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of what has a limit."""
        yield from self._memory()
        yield from self._processor()

    def _memory(self) -> Iterator[Metric]:
        for used, limit, stat, inactive, events in _FILES:
            allowed = self._read(limit)
            if not allowed.isdigit() or int(allowed) >= _NO_LIMIT:
                continue
            # What the kernel gives back without pain is not in use: files that were read.
            held = int(self._read(used)) - self._field(stat, inactive)
            text = "Memory that the container's processes hold."
            yield GaugeMetricFamily("container_memory_working_set_bytes", text, held)
            yield GaugeMetricFamily(
                "container_memory_limit_bytes", "Memory the container may use.", int(allowed)
            )
            text = "Processes of the container that the kernel killed for want of memory."
            yield CounterMetricFamily("container_oom_kills", text, self._field(events, "oom_kill"))
            return

    def _processor(self) -> Iterator[Metric]:
        quota, _, period = self._read("cpu.max").partition(" ")
        used = self._field("cpu.stat", "usage_usec") / 1e6
        if not quota:  # version 1
            quota, period = self._read("cpu/cpu.cfs_quota_us"), self._read("cpu/cpu.cfs_period_us")
            used = int(self._read("cpuacct/cpuacct.usage") or 0) / 1e9
        if not quota.isdigit():  # "max", or -1
            return
        text = "Processor time that the container's processes have used."
        yield CounterMetricFamily("container_cpu_usage_seconds", text, used)
        text = "Processors the container may use."
        yield GaugeMetricFamily("container_cpu_limit_cores", text, int(quota) / int(period))

    def _read(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def _field(self, name: str, field: str) -> int:
        rows = (line.split() for line in self._read(name).splitlines())
        return next((int(row[1]) for row in rows if row[0] == field), 0)
