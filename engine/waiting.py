"""Waiting: a run takes a device that no other run is at work on, and says while it has to wait for one."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from engine.data.packing import cache_folder
from engine.device import device_key, device_name, possible_devices
from engine.device_queue import ONE_AT_A_TIME, DeviceQueue
from engine.spec.event_log import EventWriter
from engine.spec.events import DeviceTaken, Queued

_SAID_AGAIN: Final = 30.0
"""Seconds after which a run that waits says so again: whoever looks from another machine has only its log to go by."""

Announce = Callable[[str], None]
"""Says that the run is taken up, and the device in words where it is known."""


def take_device(
    wish: str, queue: DeviceQueue, events: EventWriter, announce: Announce, stop: Callable[[], None]
) -> torch.device:
    """The device for a wish, held in the queue; where there is one for all, as on a processor, it is not waited for."""
    devices = {device_key(device): device for device in possible_devices(wish)}
    first = next(iter(devices.values()))
    if first.type == "cpu" and not os.environ.get(ONE_AT_A_TIME):
        announce(_words(first))
        return first
    notice = _Notice(events, announce, devices)
    device = devices[queue.take(list(devices), notice.say, stop)]
    if notice.was_said:
        events.write(DeviceTaken(device=_words(device)))
    else:
        announce(_words(device))
    return device


def queue_folder() -> Path:
    """Where this machine's devices are locked: in the user's cache, which several machines may share."""
    return cache_folder().parent / "devices" / socket.gethostname()


class _Notice:
    """Says what is waited for, when it changes and now and then."""

    def __init__(self, events: EventWriter, announce: Announce, devices: dict[str, torch.device]) -> None:
        self._events, self._announce, self._devices = events, announce, devices
        self._before, self._due = -1, 0.0

    @property
    def was_said(self) -> bool:
        return self._before >= 0

    def say(self, key: str, before: int) -> None:
        if not self.was_said:
            self._announce("")
        if before != self._before or time.monotonic() >= self._due:
            device = str(self._devices[key]) if len(self._devices) == 1 else "any GPU"
            self._events.write(Queued(device=device, before=before))
            self._before, self._due = before, time.monotonic() + _SAID_AGAIN


def _words(device: torch.device) -> str:
    return f"{device} ({device_name(device)})"
