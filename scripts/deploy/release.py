#!/usr/bin/env python3
"""`kickoff`: the verbs of a release, such as status and rollback."""

import os
import sys
from pathlib import Path

program = Path(__file__).resolve().parents[2] / "src" / "kickoff"
os.execv(sys.executable, [sys.executable, str(program), *sys.argv[1:]])
