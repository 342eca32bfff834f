"""Schema history.

Every migration only expands: the release before it keeps serving while it runs, and afterwards. New columns
are nullable or have a server default; nothing is dropped, renamed or narrowed in the release that stops to
use it.
"""
