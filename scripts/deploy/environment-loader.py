#!/usr/bin/env python3
"""`kickoff env`: validate, load, export, compare and explain environments."""

import os
import sys
from pathlib import Path

program = Path(__file__).resolve().parents[2] / "src" / "kickoff"
os.execv(sys.executable, [sys.executable, str(program), "env", *sys.argv[1:]])
