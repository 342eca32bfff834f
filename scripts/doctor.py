#!/usr/bin/env python3
"""Say what this machine has and lacks, or, with --env, whether an environment's host is fit for a release.

Without --env the standard library is enough: it must run where nothing is installed.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))


def main() -> int:
    """Run the examination the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="", help="examine the host of this environment")
    name = parser.parse_args().env
    if not name:
        from kickoff.errors import run  # noqa: PLC0415
        from kickoff.pipeline import doctor  # noqa: PLC0415

        return run(lambda: doctor.main(Path.cwd()))
    from kickoff import bootstrap  # noqa: PLC0415

    bootstrap.ensure("pipeline")
    from kickoff.errors import run  # noqa: PLC0415
    from kickoff.host import doctor as host  # noqa: PLC0415

    return run(lambda: host.main(name, Path.cwd()))


if __name__ == "__main__":
    sys.exit(main())
