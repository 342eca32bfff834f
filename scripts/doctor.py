#!/usr/bin/env python3
"""Say what this machine has and lacks. Standard library alone: it must run where nothing is installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from kickoff.pipeline import doctor

if __name__ == "__main__":
    sys.exit(doctor.main(Path.cwd()))
