#!/usr/bin/env python3
"""`kickoff smoke`: send the smoke requests and judge the answers."""

import os
import sys
from pathlib import Path

program = Path(__file__).resolve().parents[2] / "src" / "kickoff"
os.execv(sys.executable, [sys.executable, str(program), "smoke", *sys.argv[1:]])
