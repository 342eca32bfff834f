#!/usr/bin/env python3
"""`kickoff report`: turn a run's evidence into its report."""

import os
import sys
from pathlib import Path

program = Path(__file__).resolve().parents[2] / "src" / "kickoff"
os.execv(sys.executable, [sys.executable, str(program), "report", *sys.argv[1:]])
