"""Runs on a disk that is really full, in a mount namespace of its own: FOLDER PRESET FREE_BYTES...; prints JSON.

Where the file system has so many bytes free, a run is started; then there is room again, and it goes on.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from engine.soak.ending import differences, ending
from engine.soak.engines import Engines
from engine.soak.toys import toy_config, toy_run

SIZE = "6m"


def main(folder: Path, preset: str, sizes: list[int]) -> None:
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(disk)], check=True)
    engines = Engines(folder / "cache")
    run = toy_run(folder / "whole" / "run", toy_config(preset))
    assert engines.finish(run) == 0
    whole, found = ending(run), []
    for size in sizes:
        run = toy_run(disk / str(size) / "run", toy_config(preset))
        filler = disk / "filler"
        with filler.open("wb") as file:
            file.write(bytes(max(0, free(disk) - size)))
        code = engines.finish(run)
        left = [path.name for path in run.path.rglob(".partial-*") if path.name != ".partial-synthetic"]
        log = run.log.read_text()
        filler.unlink()
        again = engines.finish(run)
        found.append(
            {
                "code": code,
                "left": left,
                "named": "No space left on device" in log or "MiB are free there" in log,
                "again": again,
                "differences": differences(ending(run), whole) if again == 0 else ["it did not end"],
            }
        )
        shutil.rmtree(run.path.parent)
    print(json.dumps(found))


def free(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [int(size) for size in sys.argv[3:]])
