"""Runs: one search on disk, from its config to its champion."""

from hyperevo.runs.run import Interrupted, Round, Run, create_run, execute, finished, open_run, spent

__all__ = ["Interrupted", "Round", "Run", "create_run", "execute", "finished", "open_run", "spent"]
