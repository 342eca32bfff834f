#!/usr/bin/env python3
"""`kickoff functional`: run the interface tests against the candidate."""

import os
import sys
from pathlib import Path

program = Path(__file__).resolve().parents[2] / "src" / "kickoff"
os.execv(sys.executable, [sys.executable, str(program), "functional", *sys.argv[1:]])
