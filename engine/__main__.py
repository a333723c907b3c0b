"""`python -P -m engine RUN_FOLDER`: run what the folder's config.json says, or go on where it stopped."""

import contextlib
import hashlib
import os
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.control import StopFlag
from engine.environment import write_environment
from engine.narration import narrate, write
from engine.spec.atomic import remove_abandoned
from engine.spec.config import RunConfig
from engine.spec.errors import DONE, HistotuiError, RunFolderError, Stopped
from engine.spec.event_log import EventWriter, read_first, worked_seconds
from engine.spec.events import Resumed, RunFailed, RunFinished, RunStarted, RunStopped
from engine.spec.failpoints import arm_from_environment
from engine.spec.process import ProcessIdentity, RunLock
from engine.spec.resolve import load as load_config
from engine.spec.run_folder import RunFolder
from engine.spec.version import VERSION
from engine.storage import Reserve, storage_errors

_LONGEST_MESSAGE = 2000

if TYPE_CHECKING:
    import torch


class Engine:
    """One run of one folder, from its lock to its last event."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._stop = StopFlag()
        self._stage = ""
        self._began = time.monotonic()

    def run(self) -> int:
        """Do all that remains of the run; the exit code says how it ended."""
        os.umask(0o077)
        with storage_errors(self._folder.path), RunLock(self._folder.lock):
            self._stop.listen()
            ProcessIdentity.current().write(self._folder.process)
            with EventWriter(self._folder.events, narrate) as events:
                return self._run_to_last_event(events)

    def _run_to_last_event(self, events: EventWriter) -> int:
        before = worked_seconds(self._folder.events)
        try:
            # The room is given back before the last event is written, whichever that is.
            with storage_errors(self._folder.path), Reserve(self._folder.path):
                self._work(events)
        except Stopped as stopped:
            events.write(RunStopped(stage=self._stage))
            return stopped.exit_code
        except HistotuiError as error:
            write(f"error: {error}")
            return self._fail(events, error, error.exit_code)
        # The one place that catches everything: whatever happens, the folder says how the run ended.
        except Exception as error:  # noqa: BLE001
            write(traceback.format_exc().rstrip("\n"))
            return self._fail(events, error, HistotuiError.exit_code)
        events.write(RunFinished(seconds=before + time.monotonic() - self._began))
        return DONE

    def _work(self, events: EventWriter) -> None:
        config = self._load_config()
        # torch takes seconds to import; everything above is checked before.
        from engine.device_queue import DeviceQueue
        from engine.waiting import queue_folder, take_device

        # Nobody gives the device back: the process holds memory on it until the kernel has ended both.
        announce = partial(self._announce, events)
        device = take_device(
            config.device, DeviceQueue(queue_folder()), events, announce, self._stop.raise_if_requested
        )
        self._began = time.monotonic()
        self._work_on(device, config, events)

    def _work_on(self, device: "torch.device", config: RunConfig, events: EventWriter) -> None:
        from engine.context import Context
        from engine.device import set_up
        from engine.pipeline import run_stages

        remove_abandoned(self._folder.path)
        try:
            set_up(device, config.training)
            write_environment(self._folder.environment, device)
            run_stages(Context(self._folder, config, device, events, self._stop), self._enter)
        except (RuntimeError, MemoryError) as error:
            from engine.out_of_memory import explained, is_out_of_memory

            if not is_out_of_memory(error):
                raise
            raise explained(config, device, self._stage, error) from error

    def _load_config(self) -> RunConfig:
        """The config, unless it has changed since the run began."""
        first = read_first(self._folder.events)
        known = first.config_sha256 if isinstance(first, RunStarted) else ""
        if known and known != self._config_digest():
            raise RunFolderError(
                f"{self._folder.config}: changed since this run began; start a new run with it instead"
            )
        return load_config(self._folder.config)

    def _config_digest(self) -> str:
        try:
            return hashlib.sha256(self._folder.config.read_bytes()).hexdigest()
        except OSError as error:
            raise RunFolderError(f"{self._folder.config}: cannot be read ({error})") from None

    def _announce(self, events: EventWriter, device: str) -> None:
        if read_first(self._folder.events) is None:
            where = str(Path(__file__).parent)
            digest = self._config_digest()
            events.write(RunStarted(version=VERSION, engine=where, config_sha256=digest, device=device))
        else:
            events.write(Resumed(version=VERSION, device=device))

    def _enter(self, stage: str) -> None:
        self._stage = stage

    def _fail(self, events: EventWriter, error: Exception, exit_code: int) -> int:
        """Say in the log how the run ended, unless the disk that the log is on is what ended it."""
        message = str(error)
        if len(message) > _LONGEST_MESSAGE:
            message = f"{message[:_LONGEST_MESSAGE]} ... (the whole message is in log.txt)"
        failed = RunFailed(error=type(error).__name__, message=message, exit_code=exit_code, stage=self._stage)
        with contextlib.suppress(OSError):
            if read_first(self._folder.events) is None:
                events.write(RunStarted(version=VERSION))
            events.write(failed)
        return exit_code


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -P -m engine RUN_FOLDER", file=sys.stderr)
        return 2
    folder = RunFolder(Path(arguments[0]).resolve())
    try:
        arm_from_environment()
        if not folder.config.exists():
            raise RunFolderError(f"{folder.path}: not a run folder, it has no config.json")
        return Engine(folder).run()
    except HistotuiError as error:
        write(f"error: {error}")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
