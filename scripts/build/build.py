#!/usr/bin/env python3
"""`kickoff build`: build the bundle or the image of a commit."""

import os
import sys
from pathlib import Path

program = Path(__file__).resolve().parents[2] / "src" / "kickoff"
os.execv(sys.executable, [sys.executable, str(program), "build", *sys.argv[1:]])
