"""Engines for toy runs: each a process of its own, forked where everything is imported already."""

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import MappingProxyType
from typing import Final

from engine.classifiers import CLASSIFIERS
from engine.generators import GENERATORS
from engine.spec.failpoints import VARIABLE
from engine.spec.run_folder import RunFolder

_IMPORTED: Final = (
    *(place.partition(":")[0] for place in (*GENERATORS.values(), *CLASSIFIERS.values())),
    "engine.pipeline",
    "sklearn.mixture",
    "torch._dynamo",
    "torch._inductor",
)
"""What takes a second and more to import."""


class Engines:
    """Starts engines on runs. Their packed patches are shared."""

    def __init__(self, cache: Path, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        """`variables` of the environment that they have beside this process's."""
        self._variables = {**variables, "XDG_CACHE_HOME": str(cache)}
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_IMPORTED))

    def start(self, run: RunFolder, failpoint: str = "", file_size: int | None = None) -> ForkServerProcess:
        """The engine at work on a run in a session of its own, its words in the run's log.

        It fails at `failpoint`, and can write no file beyond `file_size` bytes.
        """
        arguments = (str(run.path), {**self._variables, VARIABLE: failpoint}, file_size)
        process = self._context.Process(target=_work, args=arguments, daemon=False)
        process.start()
        return process

    def wait(self, process: ForkServerProcess, timeout: float = 120.0) -> int:
        """Its exit code once it has ended, negative for the signal that ended it; TimeoutError where it does not."""
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"an engine is still at work after {timeout:g} s")
        return process.exitcode

    def finish(self, run: RunFolder, failpoint: str = "") -> int:
        """The exit code of an engine that is let work until it ends."""
        return self.wait(self.start(run, failpoint))


def _work(folder: str, variables: dict[str, str], file_size: int | None) -> None:
    os.setsid()
    descriptor = os.open(RunFolder(Path(folder)).log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    os.environ |= variables
    if file_size is not None:
        # Without a handler the process would end at the first write too many.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    from engine.__main__ import main

    # Nothing of the process that it was forked from is to be tidied up here.
    os._exit(main([folder]))
