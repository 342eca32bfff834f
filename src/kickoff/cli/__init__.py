"""The command ``kickoff``: arguments parsed once, handed over once, results printed once."""
