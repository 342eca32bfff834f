"""``python -m kickoff``, and ``python3 src/kickoff``: the command of a checkout without an environment.

Run as a folder of a checkout it first makes sure of the locked environment that the verb needs; until then
only the standard library is imported. An installed copy makes sure of what it does not bring along.
"""

import os
import sys

if not __package__:
    # The folder itself comes first in this case, and its modules would hide others.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from kickoff import bootstrap


def main() -> int:
    """Run the command, under the environment that its verb needs; return its exit code."""
    bootstrap.check_version()
    # What follows does not parse on the versions refused above.
    from kickoff.cli.verbs import needs

    purpose = needs(sys.argv[1:])
    if (not __package__ and bootstrap.IN_CHECKOUT) or not bootstrap.has(purpose):
        bootstrap.ensure(purpose, bootstrap.PACKAGE)
    from kickoff.cli import main as cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
