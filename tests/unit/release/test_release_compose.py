"""What the compose target reads out of a container: its connections, its memory and its processor time."""

from kickoff.release.targets.compose.engine import established, processors, usage

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001        0 1
   1: 0200A8C0:1F40 0300A8C0:C001 01 00000000:00000000 00:00000000 00000000 10001        0 2
   2: 0200A8C0:C002 0300A8C0:1F40 01 00000000:00000000 00:00000000 00000000 10001        0 3
   3: 0200A8C0:1F40 0300A8C0:C003 06 00000000:00000000 00:00000000 00000000 10001        0 4
  sl  local_address                         remote_address                        st tx_queue
   0: 0000000000000000FFFF00000200A8C0:1F40 0000000000000000FFFF00000300A8C0:C004 01 00000000:00000000
"""


def test_only_established_connections_to_the_port_count() -> None:
    assert established(TABLE, 8000) == 2
    assert established(TABLE, 8001) == 0
    assert established("", 8000) == 0


def test_usage_leaves_the_page_cache_out() -> None:
    second = {"memory_stats": {"usage": 300, "stats": {"inactive_file": 100}}, "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}}}  # fmt: skip
    assert usage(second) == (200, 2.5)
    first = {"memory_stats": {"usage": 300, "stats": {"total_inactive_file": 50}}}
    assert usage(first) == (250, 0.0)
    assert usage({}) == (0, 0.0)


def test_a_container_may_use_what_it_is_limited_to_or_all_that_the_host_has() -> None:
    host = {"cpu_stats": {"online_cpus": 8}}
    assert processors({"NanoCpus": 500_000_000}, host) == 0.5
    assert processors({"NanoCpus": 0, "CpuQuota": 200_000, "CpuPeriod": 0}, host) == 2
    assert processors({"NanoCpus": 0, "CpuQuota": 50_000, "CpuPeriod": 100_000}, host) == 0.5
    assert processors({"CpuQuota": -1}, host) == 8
