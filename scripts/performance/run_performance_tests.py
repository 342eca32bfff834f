#!/usr/bin/env python3
"""`kickoff perf`: load a service with scenarios and judge it."""

import os
import sys
from pathlib import Path

program = Path(__file__).resolve().parents[2] / "src" / "kickoff"
os.execv(sys.executable, [sys.executable, str(program), "perf", *sys.argv[1:]])
