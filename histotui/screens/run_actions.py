"""RunActions: what can be done to runs, the same from every screen that shows them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from textual import work
from textual.worker import get_current_worker

from engine.spec.run_folder import RunFolder
from histotui import operations
from histotui.meta import checked_name, checked_notes, checked_tags
from histotui.runs import LIVE
from histotui.screens.base import BenchScreen
from histotui.screens.prompts import Confirm, TextPrompt
from histotui.text import clean

Parts = Callable[[RunFolder, str], Mapping[str, Any]]
"""What of a run's meta.json an answer changes."""


class RunActions(BenchScreen[None]):
    """A screen of runs; which actions have a key there, it says itself."""

    @property
    def current_run(self) -> str | None:
        """The id of the run to which is done what can be done to one alone."""
        return None

    @property
    def chosen_runs(self) -> Sequence[str]:
        """The ids of the runs to which everything else is done."""
        return [run for run in (self.current_run,) if run]

    @property
    def chosen_folders(self) -> list[RunFolder]:
        """The chosen runs' folders."""
        return [self.bench.folder(name) for name in self.chosen_runs]

    def action_stop(self) -> None:
        for folder in self._live("stop"):
            self.notify(f"{folder.id}: stopping with a checkpoint", markup=False)
            self.bench.perform(partial(_stop, folder), [folder])

    @work
    async def action_kill(self) -> None:
        live = self._live("kill")
        if not live:
            return
        question = Confirm(f"Kill {operations.named(live)}?", "what it did since its last checkpoint is lost")
        if await self.app.push_screen_wait(question):
            for folder in live:
                self.bench.perform(partial(operations.kill, folder), [folder])

    def action_resume(self) -> None:
        for folder in self.chosen_folders:
            self.bench.perform(partial(operations.resume, folder, self.bench.engines), [folder])

    def action_like(self) -> None:
        if current := self.current_run:
            self.bench.new_run(current)

    def action_copy(self) -> None:
        if current := self.current_run:
            self.bench.copy_command(current)

    def action_rename(self) -> None:
        if run := self.bench.summary(self.current_run or ""):
            hint = "letters, digits, spaces and . _ + = , @ -; empty for no name"
            prompt = TextPrompt(f"Name of {run.id}", clean(run.name), hint, checked_name)
            self._edit(prompt, [run.folder], "renamed", lambda _, name: {"name": name})

    def action_tag(self) -> None:
        runs = [run for name in self.chosen_runs if (run := self.bench.summary(name))]
        if not runs:
            return
        common = [tag for tag in runs[0].tags if all(tag in run.tags for run in runs)]
        hint = "words with spaces between" if len(runs) == 1 else f"those that all {len(runs)} runs have; others stay"
        folders = [run.folder for run in runs]
        prompt = TextPrompt(f"Tags of {operations.named(folders)}", clean(" ".join(common)), hint, checked_tags)

        def retagged(folder: RunFolder, answer: str) -> Mapping[str, Any]:
            wanted = checked_tags(answer)
            # The listing may be a second old.
            tags = self.bench.store.meta(folder)["tags"]
            kept = [tag for tag in tags if tag in wanted or tag not in common]
            return {"tags": [*kept, *wanted]}

        self._edit(prompt, folders, "tagged", retagged)

    def action_note(self) -> None:
        if run := self.bench.summary(self.current_run or ""):
            hint = "what should be remembered of this run"
            prompt = TextPrompt(f"Note on {run.id}", clean(run.notes), hint, checked_notes)
            self._edit(prompt, [run.folder], "noted", lambda _, notes: {"notes": notes})

    @work
    async def _edit(self, prompt: TextPrompt, folders: list[RunFolder], done: str, parts: Parts) -> None:
        """Ask for a part of these runs' meta.json and write it."""
        answer = await self.app.push_screen_wait(prompt)
        if answer is None:
            return

        def operation() -> str:
            for folder in folders:
                self.bench.store.edit_meta(folder, **parts(folder, answer))
            return f"{operations.named(folders)} {done}"

        self.bench.perform(operation, folders)

    def _live(self, verb: str) -> list[RunFolder]:
        # A run that was launched just now is not listed yet.
        runs = {folder: self.bench.summary(folder.id) for folder in self.chosen_folders}
        live = [folder for folder, run in runs.items() if run is None or run.state in LIVE]
        if not live:
            self.notify(f"there is nothing to {verb}: no selected run is live")
        return live


def _stop(folder: RunFolder) -> str:
    # A thread that waits for a stubborn engine would keep the terminal after the application has left it.
    worker = get_current_worker()
    return operations.stop(folder, lambda: worker.is_cancelled)
