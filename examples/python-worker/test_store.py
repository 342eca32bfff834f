"""Tests of the database."""

import os
import tempfile
import unittest

import store


class StoreTest(unittest.TestCase):
    """The schema."""

    def test_a_migration_can_be_run_again(self) -> None:
        """A release is staged more than once."""
        with tempfile.TemporaryDirectory() as folder:
            os.environ["KICKOFF_DATA_DIR"] = folder
            store.migrate()
            store.migrate()
            with store.connect() as database:
                self.assertEqual(database.execute("SELECT count(*) FROM jobs").fetchone(), (0,))


if __name__ == "__main__":
    unittest.main()
