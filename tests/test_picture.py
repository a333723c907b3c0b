"""Pictures: what a terminal is sent, and how the widget changes from one to the next."""

import asyncio
import base64
import io
import os
import re
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.spec.errors import RunFolderError
from histotui import drawing
from histotui.drawing import PLACEHOLDER, Order, draw, fitted, open_picture, sixels
from histotui.graphics import Graphics, Kind
from histotui.screens.base import BenchModal
from histotui.widgets import picture as picture_module
from histotui.widgets.picture import Picture

CELL = (10, 20)
RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
KINDS: tuple[Kind, ...] = ("kitty", "sixel", "halfcell", "unicode")


@pytest.fixture(autouse=True)
def cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the choice of graphics leaves it; textual-image keeps the first size that it sees."""
    monkeypatch.setenv("TEXTUAL_CELL_WIDTH", str(CELL[0]))
    monkeypatch.setenv("TEXTUAL_CELL_HEIGHT", str(CELL[1]))
    monkeypatch.delenv("TMUX", raising=False)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.new("RGB", size, colour)


def file(folder: Path, name: str, colour: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> Path:
    path = folder / name
    plain(colour, size).save(path)
    return path


def order(kind: Kind, image: "Path | Image.Image", room: tuple[int, int] = (40, 20), **others: Any) -> Order:
    return Order(image, "", kind, CELL, room, **others)


def text(lines: tuple[tuple[Segment, ...], ...]) -> list[str]:
    return ["".join(segment.text for segment in line) for line in lines]


class TestFit:
    @pytest.mark.parametrize(
        ("kind", "size", "room", "dots", "cells"),
        [
            # 4 × 96 = 384 of the 400 pixels; 3.9 times would make some pixels wider than others.
            ("kitty", (96, 96), (200, 60), (384, 384), (39, 20)),
            ("sixel", (96, 96), (200, 60), (384, 384), (39, 20)),
            ("kitty", (800, 400), (200, 60), (400, 200), (40, 10)),
            ("kitty", (800, 400), (20, 60), (200, 100), (20, 5)),
            ("kitty", (100, 1000), (20, 10), (20, 200), (2, 10)),
            ("halfcell", (96, 96), (200, 48), (96, 96), (96, 48)),
            ("halfcell", (96, 96), (200, 100), (192, 192), (192, 96)),
            ("halfcell", (96, 96), (20, 20), (20, 20), (20, 10)),
            ("halfcell", (96, 96), (15, 20), (15, 15), (15, 8)),
            ("unicode", (96, 96), (20, 20), (20, 10), (20, 10)),
            ("kitty", (8000, 1), (10, 10), (100, 1), (10, 1)),
            ("halfcell", (1, 8000), (10, 10), (1, 20), (1, 10)),
        ],
        ids=str,
    )
    def test_size(
        self, kind: Kind, size: tuple[int, int], room: tuple[int, int], dots: tuple[int, int], cells: tuple[int, int]
    ) -> None:
        fit = fitted(size, order(kind, plain(RED), room))
        assert (fit.dots, fit.cells) == (dots, cells)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("cell", [(7, 15), (9, 18), (10, 20), (20, 41)], ids=str)
    @pytest.mark.parametrize("size", [(1, 1), (96, 96), (538, 274), (3, 4000)], ids=str)
    def test_never_more_than_there_is(self, kind: Kind, cell: tuple[int, int], size: tuple[int, int]) -> None:
        for room in ((1, 1), (13, 7), (80, 24), (400, 400)):
            fit = fitted(size, Order(plain(RED), "", kind, cell, room))
            assert all(0 < used <= there for used, there in zip(fit.cells, room, strict=True))
            assert all(0 < drawn <= all_ for drawn, all_ in zip(fit.dots, fit.canvas, strict=True))

    def test_a_screen_of_its_own_has_more(self) -> None:
        assert fitted((800, 400), order("kitty", plain(RED), (200, 60), limit=1200)).dots == (800, 400)


class TestDraw:
    def test_half_cells(self) -> None:
        image = plain(RED, (2, 2))
        image.paste(BLUE, (0, 1, 2, 2))
        drawn = draw(order("halfcell", image, (2, 1)))
        assert text(drawn.lines) == ["▀▀"]
        style = drawn.lines[0][0].style
        assert style is not None and style.color is not None and style.bgcolor is not None
        assert (style.color.triplet, style.bgcolor.triplet) == (RED, BLUE)

    @pytest.mark.parametrize(("dark", "letters"), [(True, "█ "), (False, " █")])
    def test_letters_are_light_on_dark_and_dark_on_light(self, dark: bool, letters: str) -> None:
        image = plain(WHITE, (2, 2))
        image.paste(BLACK, (1, 0, 2, 2))
        assert text(draw(order("unicode", image, (2, 1), dark=dark)).lines) == [letters]

    def test_kitty_gets_the_pixels_as_they_are(self) -> None:
        image = plain(RED, (3, 3))
        image.putpixel((1, 1), BLUE)
        drawn = draw(order("kitty", image, (3, 2), backdrop=WHITE))
        parts = re.findall(r"\x1b_Gi=(\d+),f=100,q=2,m=0;([^\x1b]+)\x1b\\", drawn.sent_before)
        (number, data), placed = parts[0], f"\x1b_Ga=p,U=1,i={parts[0][0]},c=3,r=2,q=2\x1b\\"
        sent = Image.open(io.BytesIO(base64.b64decode(data)))
        # 10 dots for each pixel, so 30 × 30 in cells of 30 × 40.
        assert (sent.size, sent.getpixel((9, 9)), sent.getpixel((10, 10)), sent.getpixel((29, 30))) == (
            (30, 40), RED, BLUE, WHITE
        )  # fmt: skip
        assert drawn.sent_before.endswith(placed)
        assert drawn.sent_after == f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"
        style = drawn.lines[0][0].style
        assert style is not None and style.color is not None and style.color.triplet is not None
        red, green, blue = style.color.triplet
        assert red << 16 | green << 8 | blue == int(number)
        assert "".join(text(drawn.lines)).count("\U0010eeee") == 6

    def test_kitty_gets_much_in_pieces(self) -> None:
        drawn = draw(order("kitty", Image.effect_noise((200, 200), 90)))
        parts = re.findall(r"m=([01]);([^\x1b]+)\x1b", drawn.sent_before)
        assert len(parts) > 2
        assert [more for more, _ in parts] == ["1"] * (len(parts) - 1) + ["0"]
        assert {len(data) for _, data in parts[:-1]} == {4096}
        assert Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in parts)))).size == (400, 400)

    def test_in_tmux_each_piece_is_wrapped_and_the_library_sends_none(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("TMUX", "/tmp/tmux")
        drawn = draw(order("kitty", plain(RED), (4, 2)))
        assert capfd.readouterr() == ("", "")
        assert re.fullmatch(r"(\x1bPtmux;\x1b\x1b_G[^\x1b]*\x1b\x1b\\\x1b\\){2}", drawn.sent_before)

    def test_pictures_have_numbers_of_their_own(self) -> None:
        first, second = (draw(order("kitty", plain(RED))) for _ in range(2))
        assert first.sent_after != second.sent_after

    def test_sixels_fill_their_cells(self) -> None:
        drawn = draw(order("sixel", plain(RED, (50, 50)), (10, 5)))
        assert (drawn.columns, drawn.rows) == (10, 5)
        assert re.match(r'\x1bP[\d;]*q"1;1;100;100', drawn.sixels)
        assert drawn.sixels.endswith("\x1b\\")
        assert "2;100;0;0" in drawn.sixels

    def test_a_part_of_the_sixels(self) -> None:
        assert re.match(r'\x1bP[\d;]*q"1;1;20;40', sixels(plain(RED, (20, 40)), (2, 2)))


class TestFiles:
    def test_pixels(self, tmp_path: Path) -> None:
        assert open_picture(file(tmp_path, "red.png", RED)).getpixel((0, 0)) == RED

    def test_grey_and_transparent_ones(self, tmp_path: Path) -> None:
        Image.new("LA", (2, 2), (128, 255)).save(tmp_path / "grey.png")
        assert open_picture(tmp_path / "grey.png").getpixel((0, 0)) == (128, 128, 128)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(RunFolderError, match=r"^a\.png: not there$"):
            open_picture(tmp_path / "a.png")

    @pytest.mark.parametrize("kept", [0, 10, 40, 200])
    def test_cut_off(self, tmp_path: Path, kept: int) -> None:
        path = file(tmp_path, "red.png", RED, (300, 300))
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(RunFolderError, match=r"^red\.png: .*not yet whole$"):
            open_picture(path)

    def test_too_large_is_never_decoded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = file(tmp_path, "red.png", RED)
        content = bytearray(path.read_bytes())
        content[16:24] = (100_000).to_bytes(4) + (64).to_bytes(4)
        path.write_bytes(content)
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded"))
        with pytest.raises(RunFolderError, match="100000 × 64 pixels; up to 8192 × 8192 are shown"):
            open_picture(path)

    def test_another_format(self, tmp_path: Path) -> None:
        plain(RED).save(tmp_path / "red.png", format="JPEG")
        with pytest.raises(RunFolderError, match="no PNG file"):
            open_picture(tmp_path / "red.png")

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(RunFolderError, match="not a file"):
            open_picture(tmp_path / "pipe.png")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RunFolderError, match="not a file"):
            open_picture(tmp_path)


class Wall(App[None]):
    """One picture, and what the driver was given beside frames."""

    CSS = "Picture { width: 40; height: 12; }"

    def __init__(self, kind: Kind, **options: Any) -> None:
        super().__init__()
        self.picture = Picture(Graphics(kind, "for a test", CELL), **options)
        self.sent: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.picture

    def on_mount(self) -> None:
        assert self._driver is not None
        write = self._driver.write
        self._driver.write = lambda data: (self.sent.append(data), write(data))[1]  # type: ignore[method-assign]

    def messages(self) -> list[str]:
        return [data for data in self.sent if data.startswith("\x1b_G")]

    def said(self) -> str:
        words = self.picture.query_one(".words", Static)
        return str(words.content) if words.display else ""

    def caption(self) -> str:
        below = self.picture.query_one(".caption", Static)
        return str(below.content) if below.display else ""

    def corner(self) -> tuple[int, int, int] | None:
        """The colour at the top left, as the screen has it."""
        style = self.screen._compositor.render_strips()[0]._segments[0].style
        return tuple(style.color.triplet) if style and style.color and style.color.triplet else None  # type: ignore[return-value]


def run(wall: Wall, act: Callable[[Pilot[None]], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        async with wall.run_test(size=(80, 24)) as pilot:
            await act(pilot)

    asyncio.run(go())


async def settle(pilot: Pilot[None]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


class TestWidget:
    def test_nothing_yet(self) -> None:
        wall = Wall("halfcell", empty="press [n] for a run")

        async def act(pilot: Pilot[None]) -> None:
            assert wall.said() == "press [n] for a run"

        run(wall, act)

    def test_a_file_with_its_caption(self, tmp_path: Path) -> None:
        wall = Wall("halfcell")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show(file(tmp_path, "red.png", RED), "step [b]5[/b]\x1b[31m")
            await settle(pilot)
            assert (wall.corner(), wall.said(), wall.caption()) == (RED, "", r"step [b]5[/b]\x1b[31m")

        run(wall, act)

    def test_pixels_from_memory(self) -> None:
        wall = Wall("halfcell")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show_image(plain(BLUE))
            await settle(pilot)
            assert (wall.corner(), wall.caption()) == (BLUE, "")

        run(wall, act)

    def test_a_last_touch_is_given_in_a_thread(self, tmp_path: Path) -> None:
        wall, threads = Wall("halfcell"), []

        def blue(image: Image.Image) -> Image.Image:
            threads.append(threading.current_thread())
            return plain(BLUE, image.size)

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show(file(tmp_path, "red.png", RED), finish=blue)
            await settle(pilot)
            assert wall.corner() == BLUE
            assert threading.main_thread() not in threads

        run(wall, act)

    def test_shown_before_it_is_mounted(self, tmp_path: Path) -> None:
        wall = Wall("halfcell")
        wall.picture.show(file(tmp_path, "red.png", RED))

        async def act(pilot: Pilot[None]) -> None:
            await settle(pilot)
            assert wall.corner() == RED

        run(wall, act)

    def test_a_broken_file_and_a_whole_one_after_it(self, tmp_path: Path) -> None:
        wall = Wall("halfcell")
        broken = tmp_path / "[red]\x1b[31m.png"
        broken.write_bytes(b"\x89PNG")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show(file(tmp_path, "red.png", RED), "before")
            await settle(pilot)
            wall.picture.show(broken, "after")
            await settle(pilot)
            assert wall.said() == r"✗ [red]\x1b[31m.png: no PNG file, or not yet whole"
            assert (wall.caption(), wall.corner() == RED) == ("after", False)
            wall.picture.show(file(tmp_path, "blue.png", BLUE))
            await settle(pilot)
            assert (wall.corner(), wall.said(), wall.caption()) == (BLUE, "", "")

        run(wall, act)

    def test_none_clears(self, tmp_path: Path) -> None:
        wall = Wall("halfcell", empty="nothing")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show(file(tmp_path, "red.png", RED), "red")
            await settle(pilot)
            wall.picture.show(None)
            await settle(pilot)
            assert (wall.said(), wall.caption(), wall.corner() == RED) == ("nothing", "", False)

        run(wall, act)

    def test_off_says_where_the_file_is(self, tmp_path: Path) -> None:
        wall = Wall("off")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show(tmp_path / "a.png", "step 5")
            await settle(pilot)
            assert (wall.said(), wall.caption()) == (str(tmp_path / "a.png"), "step 5")
            wall.picture.show_image(plain(RED))
            assert wall.said() == "pictures are off"

        run(wall, act)

    def test_the_ways_to_draw_in_turn(self, tmp_path: Path) -> None:
        wall = Wall("kitty")
        kinds = []

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show(file(tmp_path, "red.png", WHITE))
            for _ in range(5):
                await settle(pilot)
                kinds.append((wall.picture.kind, str(wall.screen._compositor.render_strips()[0].text)[0], wall.said()))
                wall.picture.cycle()

        run(wall, act)
        red = str(tmp_path / "red.png")
        assert kinds == [
            ("kitty", "\U0010eeee", ""), ("halfcell", "▀", ""), ("unicode", "█", ""), ("off", red[0], red),
            ("kitty", "\U0010eeee", ""),
        ]  # fmt: skip

    def test_a_terminal_without_pixels_has_fewer_ways(self) -> None:
        wall = Wall("halfcell")

        async def act(pilot: Pilot[None]) -> None:
            kinds = []
            for _ in range(4):
                kinds.append(wall.picture.kind)
                wall.picture.cycle()
            assert kinds == ["halfcell", "unicode", "off", "halfcell"]

        run(wall, act)

    def test_room_that_grows_is_used(self) -> None:
        wall = Wall("halfcell")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show_image(plain(RED, (500, 500)), "red")
            await settle(pilot)
            assert wall.picture.query_one("_Canvas").size == (22, 11)
            wall.picture.styles.height = 21
            await settle(pilot)
            await settle(pilot)
            assert wall.picture.query_one("_Canvas").size == (40, 20)

        run(wall, act)

    def test_a_height_of_its_own(self) -> None:
        wall = Wall("halfcell")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.styles.height = "auto"
            await settle(pilot)
            assert wall.picture.size.height == 1
            wall.picture.show_image(plain(RED, (500, 250)), "red")
            await settle(pilot)
            assert wall.picture.size == (40, 11)

        run(wall, act)


class TestOrder:
    """Drawing is slow and orders come fast."""

    def test_the_newest_wins_and_one_is_drawn_at_a_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wall, go, drawn = Wall("halfcell"), threading.Event(), []
        really = drawing.redrawn

        def slow(order: Order, shown: drawing.Drawing | None) -> drawing.Drawing | None:
            drawn.append(order.caption)
            go.wait(5)
            return really(order, shown)

        monkeypatch.setattr(picture_module, "redrawn", slow)

        async def act(pilot: Pilot[None]) -> None:
            path = file(tmp_path, "red.png", RED)
            for number in range(20):
                wall.picture.show(path, str(number))
                await pilot.pause()
            blue = file(tmp_path, "blue.png", BLUE)
            wall.picture.show(blue, "newest")
            assert drawn == ["0"]
            go.set()
            await settle(pilot)
            assert (wall.corner(), wall.caption()) == (BLUE, "newest")
            assert drawn == ["0", "newest"]

        run(wall, act)

    def test_the_old_one_stays_until_the_new_one_is_ready(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wall, go = Wall("halfcell"), threading.Event()
        really = drawing.redrawn

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show(file(tmp_path, "red.png", RED), "red")
            await settle(pilot)
            monkeypatch.setattr(picture_module, "redrawn", lambda *given: go.wait(5) and really(*given))
            wall.picture.show(file(tmp_path, "blue.png", BLUE), "blue")
            await pilot.pause()
            assert (wall.corner(), wall.caption()) == (RED, "red")
            go.set()
            await settle(pilot)
            assert (wall.corner(), wall.caption()) == (BLUE, "blue")

        run(wall, act)

    def test_cleared_while_it_is_drawn(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wall, go = Wall("halfcell", empty="nothing"), threading.Event()
        really = drawing.redrawn
        monkeypatch.setattr(picture_module, "redrawn", lambda *given: go.wait(5) and really(*given))

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show(file(tmp_path, "red.png", RED))
            await pilot.pause()
            wall.picture.show(None)
            go.set()
            await settle(pilot)
            assert (wall.said(), wall.picture.query_one("_Canvas").display) == ("nothing", False)

        run(wall, act)

    def test_the_same_file_is_drawn_once_unless_it_changed(self, tmp_path: Path) -> None:
        wall = Wall("kitty")
        path = file(tmp_path, "red.png", RED)

        async def act(pilot: Pilot[None]) -> None:
            for _ in range(3):
                wall.picture.show(path, "red")
                await settle(pilot)
            assert len(wall.messages()) == 1
            file(tmp_path, "red.png", BLUE)
            os.utime(path, ns=(1, 1))
            wall.picture.show(path, "red")
            await settle(pilot)
            assert len(wall.messages()) == 3

        run(wall, act)


class TestPixels:
    """What goes to the terminal beside the text of the screen."""

    def test_kitty_has_new_pixels_before_and_old_ones_go_after(self, tmp_path: Path, capfd: Any) -> None:
        wall = Wall("kitty")

        async def act(pilot: Pilot[None]) -> None:
            for name, colour in (("red.png", RED), ("blue.png", BLUE)):
                wall.picture.show(file(tmp_path, name, colour))
                await settle(pilot)
            first, second, freed = wall.messages()
            numbers = [re.search(r"i=(\d+)", message) for message in (first, second, freed)]
            assert numbers[0] and numbers[1] and numbers[2]
            assert numbers[0][1] == numbers[2][1] != numbers[1][1]
            await wall.picture.remove()
            assert wall.messages()[-1] == f"\x1b_Ga=d,d=I,i={numbers[1][1]},q=2\x1b\\"

        run(wall, act)
        assert "\x1b_G" not in "".join(capfd.readouterr())

    def test_sixels_at_their_place(self) -> None:
        wall = Wall("sixel")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.styles.margin = (2, 3)
            wall.picture.show_image(plain(RED, (50, 100)))
            await settle(pilot)
            await settle(pilot)
            *above, last = wall.picture.query_one("_Canvas").render_lines(wall.picture.query_one("_Canvas").size.region)
            assert not any("\x1b" in strip.text for strip in above)
            assert re.fullmatch(r" +\x1b\[3;4H\x1bP[^\x1b]+\x1b\\\x1b\[\d+;\d+H", last.text)
            assert last.cell_length == wall.picture.query_one("_Canvas").size.width

        run(wall, act)

    def test_sixels_scrolled_half_out(self) -> None:
        class Scrolled(Wall):
            CSS = "VerticalScroll { height: 6; } Picture { width: 40; height: 12; }"

            def compose(self) -> ComposeResult:
                with VerticalScroll():
                    yield self.picture

        wall = Scrolled("sixel")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show_image(plain(RED, (200, 200)))
            for _ in range(3):
                await settle(pilot)
            text = "".join(strip.text for strip in wall.screen._compositor.render_strips())
            assert re.findall(r'"1;1;(\d+;\d+)', text) == ["200;120"]

        run(wall, act)

    def test_no_sixels_under_another_screen(self) -> None:
        wall = Wall("sixel")

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show_image(plain(RED))
            await settle(pilot)
            wall.push_screen(ModalScreen())
            await settle(pilot)
            assert "\x1bP" not in "".join(strip.text for strip in wall.screen._compositor.render_strips())

        run(wall, act)

    def test_kitty_s_pictures_keep_their_number_under_a_dialogue_and_all_else_is_tinted(self) -> None:
        class Corner(BenchModal[None]):
            CSS = (
                "Corner { align: center top; background: black 60%; } Static { width: 60; height: 5; background: red; }"
            )

            def compose(self) -> ComposeResult:
                yield Static("a dialogue")

        wall = Wall("kitty")

        def seen() -> tuple[set[object], int, set[object]]:
            """The colours of placeholders, how many there are, and the colours of the caption."""
            segments = [segment for strip in wall.screen._compositor.render_strips() for segment in strip]
            pictures = [segment for segment in segments if PLACEHOLDER in segment.text]
            captions = [segment for segment in segments if "below" in segment.text]
            colours, others = (
                {segment.style.color.triplet for segment in some if segment.style and segment.style.color}
                for some in (pictures, captions)
            )
            return colours, sum(segment.text.count(PLACEHOLDER) for segment in pictures), others

        async def act(pilot: Pilot[None]) -> None:
            wall.picture.show_image(plain(RED, (500, 500)), "below")
            await settle(pilot)
            number, count, caption = seen()
            assert len(number) == 1 and count > 100
            wall.push_screen(Corner())
            await settle(pilot)
            same, fewer, tinted = seen()
            assert same == number and 0 < fewer < count and tinted != caption
            wall.pop_screen()
            await settle(pilot)
            assert seen() == (number, count, caption)

        run(wall, act)
