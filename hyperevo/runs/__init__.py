"""Runs: one search, from its config to its champion, in a folder or in memory."""

from hyperevo.runs.folder import create_run, finished, open_run
from hyperevo.runs.result import Result
from hyperevo.runs.rounds import execute, spent
from hyperevo.runs.state import Round, Run
from hyperevo.signals import Interrupted

__all__ = ["Interrupted", "Result", "Round", "Run", "create_run", "execute", "finished", "open_run", "spent"]
