"""The demo: releases of a small service, good and bad, in a temporary folder, while people use it."""
