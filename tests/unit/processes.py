"""Processes that a test is about, seen from outside."""

import time

import psutil
import pytest


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def assert_gone(pid: int) -> None:
    """Wait until a process is gone: killed is not yet gone."""
    deadline = time.monotonic() + 10
    while alive(pid):
        if time.monotonic() > deadline:
            pytest.fail(f"process {pid} is still there")
        time.sleep(0.02)
