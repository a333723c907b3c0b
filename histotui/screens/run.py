"""Run: one run, live or past: its curves, samples, evaluation, settings, log and events."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Static, TabbedContent, TabPane, Tabs

from engine.spec.process import ProcessIdentity
from histotui.formats import duration, interval
from histotui.look import bar, joined, line, state_text
from histotui.runs import LIVE, RESUMABLE, expected_stages
from histotui.screens.run_actions import RunActions
from histotui.summary import RunSummary
from histotui.text import clean_line
from histotui.views import position, rate, time_left
from histotui.watcher import Snapshot
from histotui.widgets.config_pane import ConfigPane
from histotui.widgets.curves_pane import CurvesPane
from histotui.widgets.evaluation import EvaluationPane
from histotui.widgets.events_pane import EventsPane
from histotui.widgets.log_pane import LogPane
from histotui.widgets.samples_pane import SamplesPane
from histotui.widgets.top_bar import TopBar

_TABS = ("curves", "samples", "evaluation", "config", "log", "events")


class RunScreen(RunActions):
    """Everything about one run."""

    DEFAULT_CSS = """
    RunScreen #heading { height: 2; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    RunScreen TabbedContent { height: 1fr; }
    RunScreen TabPane { padding: 0; }
    RunScreen.-full #heading, RunScreen.-full Tabs, RunScreen.-full Footer, RunScreen.-full TopBar { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"tab('{name}')", name.capitalize(), id=f"tab-{name}", show=False)
            for number, name in enumerate(_TABS, 1)
        ),
        Binding("s", "stop", "Stop", id="stop", tooltip="Stop with a checkpoint"),
        Binding("S", "kill", "Stop now", id="stop-now", show=False, tooltip="Kill it without a checkpoint"),
        Binding("R", "resume", "Resume", id="resume-run", tooltip="Go on from the last checkpoint"),
        Binding("L", "like", "Like this", id="run-like", show=False, tooltip="Configure a run like this one"),
        Binding("y", "copy", "Copy command", id="run-copy", show=False),
        Binding("escape,q", "leave", "Back", id="back", key_display="esc"),
    ]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id
        self._state = ""

    @property
    def followed(self) -> frozenset[str]:
        return frozenset({self._run_id})

    @property
    def current_run(self) -> str | None:
        return self._run_id

    def compose(self) -> ComposeResult:
        run, folder = self.bench.summary(self._run_id), self.bench.folder(self._run_id)
        yield TopBar(self._run_id)
        yield Static(id="heading")
        with TabbedContent(initial="log" if run and run.state == "failed" else "curves"):
            with TabPane("1 Curves", id="curves"):
                yield CurvesPane(self.bench.memory)
            with TabPane("2 Samples", id="samples"):
                yield SamplesPane(self.bench.graphics, folder.path)
            with TabPane("3 Evaluation", id="evaluation"):
                yield EvaluationPane(self.bench.graphics)
            with TabPane("4 Config", id="config"):
                yield ConfigPane(run.config if run else {})
            with TabPane("5 Log", id="log"):
                yield LogPane(folder.log)
            with TabPane("6 Events", id="events"):
                yield EventsPane()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.watch(self.bench, "listing", self._show_summary)
        self.watch(self.bench, "snapshots", self._show_snapshot)
        self.call_after_refresh(self._focus_tab)

    def _show_summary(self) -> None:
        run = self.bench.summary(self._run_id)
        if run is None:
            return
        self._show_heading(run)
        if run.state != self._state:
            # The footer is made anew, which takes as long as painting the screen.
            self._state = run.state
            self.refresh_bindings()
        self.query_one(EvaluationPane).show(run)
        self.query_one(LogPane).show_error(run.error)
        self.query_one(ConfigPane).show(run.config)

    def _show_snapshot(self) -> None:
        snapshot = self.bench.snapshots.get(self._run_id)
        if snapshot is None:
            return
        self.query_one(CurvesPane).show(snapshot.curves, snapshot.run.stage)
        self.query_one(SamplesPane).show(snapshot.images)
        self.query_one(EventsPane).show(snapshot.events)
        if run := self.bench.summary(self._run_id):
            self._show_heading(run)

    def _show_heading(self, run: RunSummary) -> None:
        snapshot = self.bench.snapshots.get(self._run_id, Snapshot())
        # Its two lines keep their height, so that nothing has to be laid out anew.
        heading = Text("\n").join((_title(run), _progress(run, snapshot)))
        self.query_one("#heading", Static).update(heading, layout=False)

    def action_tab(self, name: str) -> None:
        self.query_one(TabbedContent).active = name
        self._focus_tab()

    def _focus_tab(self) -> None:
        pane = self.query_one(f"#{self.query_one(TabbedContent).active}", TabPane)
        target = next((widget for widget in pane.query("*") if widget.focusable and widget.display), None)
        (target or self.query_one(Tabs)).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done to a run in this state has a key."""
        run = self.bench.summary(self._run_id)
        if run is None or action not in ("stop", "kill", "resume"):
            return True
        return run.state in (RESUMABLE if action == "resume" else LIVE)

    def action_leave(self) -> None:
        if self.has_class("-full"):
            self.query_one(SamplesPane).action_enlarge()
        else:
            self.dismiss()


def _title(run: RunSummary) -> Text:
    score = run.answer
    result = joined([run.result, interval(score.get("auc_low"), score.get("auc_high"))], " ") if score else ""
    return Text.assemble(state_text(run.state), "  ", line(run.name or run.preset, "bold"), "  ", line(result, "bold"))


def _progress(run: RunSummary, snapshot: Snapshot) -> Text:
    if run.state in LIVE and (unread := snapshot.error or run.error):
        return line(f"✗ {unread}", "red")
    if run.state not in LIVE:
        took = f"took {duration(run.seconds)}" if run.seconds is not None else ""
        source = clean_line(str(run.config.get("data", {}).get("source", "")))
        made_of = joined([run.preset, f"on {source}" if source else ""], " ")
        return line(joined([run.error.split("\n")[0], made_of, took, run.device]), "red" if run.error else "dim")
    if run.state == "queued" and run.stage:
        return line(f"waits: {run.stage}", "dim")
    stages = expected_stages(run.config)
    stage = snapshot.run.stages.get(snapshot.run.stage)
    hint = f"silent: histotui logs {run.id} --stack tells where it hangs" if _hangs_here(run) else ""
    if stage is None:
        return line(hint or "starting …", "dim")
    place = f"{stages.index(stage.name) + 1} of {len(stages)}" if stage.name in stages else ""
    share = stage.step / stage.total if stage.total else 0.0
    done = f"{bar(share, 16)}{share:4.0%}"
    # A narrow window cuts off the end.
    return line(joined([hint, f"{stage.name} ({place})", done, time_left(stage), position(stage), rate(stage)]))


def _hangs_here(run: RunSummary) -> bool:
    """Whether a stalled run's engine can be asked where it is."""
    identity = ProcessIdentity.read(run.folder.process) if run.state == "stalled" else None
    return identity is not None and identity.is_alive()
