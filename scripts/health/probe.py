#!/usr/bin/env python3
"""`kickoff probe`: wait until an address is ready, then probe it."""

import os
import sys
from pathlib import Path

program = Path(__file__).resolve().parents[2] / "src" / "kickoff"
os.execv(sys.executable, [sys.executable, str(program), "probe", *sys.argv[1:]])
