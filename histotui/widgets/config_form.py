"""ConfigForm: the settings of a run as fields, each with what is wrong with it beside it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Checkbox, Input, Select, Static

from engine.spec.config import RunConfig
from engine.spec.resolve import Tree, dump
from histotui.form_fields import (
    YES,
    FormField,
    Reading,
    decides_fields,
    form_fields,
    read,
    sections,
    texts_of,
    tree_of,
    with_kind,
)
from histotui.text import clean, clean_line


class Tick(Checkbox):
    """A box that says whether it is ticked, as its colour alone would not."""

    BUTTON_LEFT = BUTTON_RIGHT = " "

    def __init__(self, value: bool, *, off: str = "no", on: str = "yes", name: str = "", id: str | None = None) -> None:
        self._words = (off, on)
        super().__init__(self._words[value], value, name=name, id=id, compact=True)
        self._write()

    def watch_value(self) -> None:
        super().watch_value()
        self._write()

    def _write(self) -> None:
        self.label = self._words[self.value]
        self.BUTTON_INNER = "✓" if self.value else "·"


class Choice(Select[str], inherit_bindings=False):
    """One of a few; up and down are left to the form."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "show_overlay", "Choose", show=False)]


class Fields(VerticalScroll, can_focus=False, inherit_bindings=False):
    """What the sections scroll in; its keys are the form's."""


class Section(Container):
    """One part of the config. It changes only the fields that differ from those that it shows."""

    def __init__(self, title: str) -> None:
        super().__init__(id=f"section-{title}")
        self.border_title = Content(title)
        self._shown: dict[str, FormField] = {}
        self._labels: dict[str, Static] = {}
        self._margins: dict[str, Static] = {}
        self._errors: dict[str, Static] = {}
        self.controls: dict[str, Widget] = {}

    def show(self, fields: Sequence[FormField], texts: Mapping[str, str]) -> None:
        """Have these fields with these texts."""
        self.display = bool(fields)
        wanted = {entry.path: entry for entry in fields}
        for path in [path for path, entry in self._shown.items() if wanted.get(path) != entry]:
            self._drop(path)
        before: Widget | None = None
        for path, entry in wanted.items():
            if path in self._shown:
                _fill(self.controls[path], texts[path])
            else:
                self._add(entry, texts[path], before)
            before = self._errors.get(path) or self.controls[path]

    def mark(self, errors: Mapping[str, str]) -> None:
        """Show what is wrong beneath each field that has something wrong."""
        for path, control in self.controls.items():
            said = errors.get(path)
            control.set_class(said is not None, "-wrong")
            if said is None and path in self._errors:
                self._take_back(path)
            elif said is not None:
                self._say(path, Content(f"✗ {clean(said)}"))

    def _say(self, path: str, said: Content) -> None:
        if path in self._errors:
            self._errors[path].update(said)
            return
        self._margins[path], self._errors[path] = Static(), Static(said, classes="error")
        self.mount(self._margins[path], self._errors[path], after=self.controls[path])

    def _take_back(self, path: str) -> None:
        for widgets in (self._margins, self._errors):
            if path in widgets:
                widgets.pop(path).remove()

    def _add(self, entry: FormField, text: str, after: Widget | None) -> None:
        label = Static(Content(entry.name), classes="label")
        control = _control(entry, text)
        self._shown[entry.path], self._labels[entry.path], self.controls[entry.path] = entry, label, control
        if after is None:
            self.mount(label, control, before=0 if self.children else None)
        else:
            self.mount(label, control, after=after)

    def _drop(self, path: str) -> None:
        self._take_back(path)
        del self._shown[path]
        self._labels.pop(path).remove()
        self.controls.pop(path).remove()


class ConfigForm(Vertical):
    """A RunConfig to fill in. It says so with every change, and what the change came to."""

    DEFAULT_CSS = """
    ConfigForm {
        Fields { height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
        Section {
            layout: grid; grid-size: 2; grid-columns: 29 1fr; grid-rows: auto; height: auto;
            border-top: solid $panel-lighten-2; border-title-color: $primary; border-title-style: bold;
        }
        .label { color: $text-muted; padding-left: 1; width: 100%; }
        .error { color: $text-error; height: auto; width: 100%; }
        .hint { padding: 0 1; border-top: solid $panel-lighten-2; height: 4; color: $text-muted; }
        Input, Choice, Tick { width: 1fr; max-width: 60; }
        Input { background: $surface; }
        Input:focus, Choice:focus > SelectCurrent { background: $panel; text-style: bold; }
        Choice > SelectCurrent { padding: 0 1 0 0; background: $surface; }
        Choice:focus > SelectCurrent { border: none; }
        Tick:focus { border: none; }
        .-wrong { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "step(1)", "Next field", show=False),
        Binding("up", "step(-1)", "Previous field", show=False),
        Binding("pagedown", "section(1)", "Next section", show=False),
        Binding("pageup", "section(-1)", "Previous section", show=False),
    ]

    class Changed(Message):
        """The settings are others now; `config` is None where they are not valid."""

        def __init__(self, form: "ConfigForm", reading: Reading) -> None:
            super().__init__()
            self.form = form
            self.config = reading.config
            self.errors = reading.errors
            self.general = reading.general

        @property
        def control(self) -> "ConfigForm":
            return self.form

    def __init__(self, config: RunConfig, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._edited: set[str] = set()
        self._take(dump(config))
        self.reading = Reading(config)

    @property
    def edited(self) -> frozenset[str]:
        """The paths of the settings that were changed by hand since the last `show`."""
        return frozenset(self._edited)

    @property
    def fields(self) -> tuple[FormField, ...]:
        return self._fields

    @property
    def settings(self) -> Tree:
        """The settings as they stand, valid or not."""
        return tree_of(self._tree, self._fields, self._texts)

    def compose(self) -> ComposeResult:
        with Fields():
            for name in sections():
                yield Section(name)
        yield Static(classes="hint")

    def on_mount(self) -> None:
        self._sync()

    def show(self, config: RunConfig) -> None:
        """Fill the form with a config."""
        self._edited.clear()
        self._take(dump(config))
        self._sync()
        self._check()

    def set_values(self, values: Mapping[str, str]) -> None:
        """Type these texts into their fields, kinds first."""
        kinds = {entry.path for entry in self._fields if decides_fields(entry)}
        for path in sorted(values, key=lambda path: path not in kinds):
            self._edit(path, values[path])
        self._sync()
        self._check()

    def suggest(self, path: str, suggester: Suggester) -> None:
        """Offer words for a setting that is typed."""
        control = self.control_of(path)
        if isinstance(control, Input):
            control.suggester = suggester

    def focus_first_error(self) -> None:
        """Put the cursor where something is wrong."""
        wrong = next((entry.path for entry in self._fields if entry.path in self.reading.errors), None)
        if wrong is not None:
            self._go_to(wrong)

    def control_of(self, path: str) -> Widget:
        """The widget that a setting is typed into."""
        return next(section.controls[path] for section in self._sections() if path in section.controls)

    def action_step(self, by: int) -> None:
        """Go to the next or the previous field."""
        place = self._place()
        if 0 <= place + by < len(self._fields):
            self._go_to(self._fields[place + by].path)

    def action_section(self, by: int) -> None:
        """Go to the first field of the next section, or of this one or the previous."""
        firsts = [i for i, entry in enumerate(self._fields) if i == 0 or self._fields[i - 1].section != entry.section]
        place = self._place()
        ahead = [first for first in firsts if first > place] if by > 0 else [f for f in firsts if f < place][::-1]
        if ahead:
            control = self.control_of(self._fields[ahead[0]].path)
            self.screen.set_focus(control, scroll_visible=False)
            self.query_one(Fields).scroll_to_widget(control.parent or control, top=True, animate=False)  # type: ignore[arg-type]

    def _go_to(self, path: str) -> None:
        # Widget.focus waits for its turn, and keys that are typed fast would still go to the field before.
        self.screen.set_focus(self.control_of(path))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._change(event.input, event.value)

    @on(Select.Changed)
    def _chosen(self, event: Select.Changed) -> None:
        event.stop()
        self._change(event.select, str(event.value))

    @on(Checkbox.Changed)
    def _ticked(self, event: Checkbox.Changed) -> None:
        event.stop()
        self._change(event.checkbox, YES if event.value else "no")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._tell()

    def _change(self, control: Widget, text: str) -> None:
        path = control.name or ""
        # A widget says its first value too, and one that has just been taken out may still have had something to say.
        if self._texts.get(path, text) == text or control.parent is None:
            return
        self._edit(path, text)
        if any(decides_fields(entry) for entry in self._fields if entry.path == path):
            self._sync()
        self._check()

    def _edit(self, path: str, text: str) -> None:
        self._texts[path] = text
        self._edited.add(path)
        entry = next((entry for entry in self._fields if entry.path == path), None)
        if entry is not None and decides_fields(entry):
            self._take(with_kind(self.settings, path, text))

    def _take(self, tree: Tree) -> None:
        self._tree = tree
        self._fields = form_fields(tree)
        self._texts = texts_of(tree, self._fields)

    def _sync(self) -> None:
        with self.app.batch_update():
            for section in self._sections():
                mine = [entry for entry in self._fields if f"section-{entry.section}" == section.id]
                section.show(mine, self._texts)

    def _check(self) -> None:
        self.reading = read(self._tree, self._fields, self._texts)
        for section in self._sections():
            section.mark(self.reading.errors)
        self._tell()
        self.post_message(self.Changed(self, self.reading))

    def _tell(self) -> None:
        """What is wrong with the whole, then what the field with the cursor means."""
        place = self._place()
        hint = f"{self._fields[place].path}: {self._fields[place].hint}" if place >= 0 else ""
        wrong = [(f"✗ {clean_line(line)}\n", "$text-error") for line in self.reading.general]
        self.query_one(".hint", Static).update(Content.assemble(*wrong, hint), layout=False)

    def _place(self) -> int:
        """Which field has the cursor; -1 for none."""
        focused = self.screen.focused
        path = focused.name if focused is not None and self in focused.ancestors else None
        return next((place for place, entry in enumerate(self._fields) if entry.path == path), -1)

    def _sections(self) -> Iterable[Section]:
        return self.query(Section)


def _control(entry: FormField, text: str) -> Widget:
    if entry.kind == "bool":
        return Tick(text == YES, name=entry.path)
    if entry.kind == "choice":
        options = [(choice, choice) for choice in entry.choices]
        return Choice(options, value=text, allow_blank=False, name=entry.path, compact=True)
    return Input(
        text,
        placeholder="none" if entry.optional else "",
        name=entry.path,
        select_on_focus=False,
        compact=True,
    )


def _fill(control: Any, text: str) -> None:
    """Put a text into a widget that has another."""
    match control:
        case Tick():
            control.value = text == YES
        case Choice():
            if control.value != text:
                control.value = text
        case Input():
            if control.value != text:
                control.value = text
