#!/usr/bin/env python3
"""`kickoff check`: run the quality gate on a commit."""

import os
import sys
from pathlib import Path

program = Path(__file__).resolve().parents[2] / "src" / "kickoff"
os.execv(sys.executable, [sys.executable, str(program), "check", *sys.argv[1:]])
