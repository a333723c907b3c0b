"""Report: how long work says how far it is, and hears that it should stop."""

from typing import Protocol


class Report(Protocol):
    """Called now and then with what is being done and how far it is; raises Stopped where the run was asked to stop."""

    def __call__(self, what: str, done: int, total: int) -> None: ...


def silent(what: str, done: int, total: int) -> None:
    """A report to nobody."""
