"""The language of filters: terms with `and`, `or`, `not` and parentheses; terms side by side must all hold."""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Protocol

from engine.spec.errors import ConfigError
from histotui.gaps import Baselines
from histotui.run_fields import NO_BASELINES, as_text, has_value, is_number, known_field, look_up
from histotui.summary import RunSummary

_OPERATORS = ("!=", "<=", ">=", "=", "<", ">", ":")
_TERM = re.compile(rf"(?P<field>[A-Za-z_][\w.]*)(?P<operator>{'|'.join(_OPERATORS)})(?P<value>.*)", re.DOTALL)
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d)?)?)?)?)?", re.IGNORECASE)
_KEYWORDS = ("and", "or", "not")
_ORDER: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
_DEEPEST = 50


class Node(Protocol):
    """A condition on a run. `baselines` are what `gap` is measured from where a run has no reference of its own."""

    def holds(self, run: RunSummary, baselines: Baselines = NO_BASELINES) -> bool: ...


@dataclass(frozen=True, slots=True)
class Word:
    """Some of a run's names has the text in it."""

    text: str

    def holds(self, run: RunSummary, baselines: Baselines = NO_BASELINES) -> bool:
        wanted = self.text.lower()
        return any(wanted in str(value).lower() for value in (run.id, run.name, run.preset, *run.tags))


@dataclass(frozen=True, slots=True)
class Has:
    """The field has a value."""

    field: str

    def holds(self, run: RunSummary, baselines: Baselines = NO_BASELINES) -> bool:
        return has_value(look_up(run, self.field, baselines))


@dataclass(frozen=True, slots=True)
class Contains:
    """The field has the text in it, `:`, or is the text, `=`."""

    field: str
    text: str
    whole: bool

    def holds(self, run: RunSummary, baselines: Baselines = NO_BASELINES) -> bool:
        value = look_up(run, self.field, baselines)
        return _equal(value, self.text) if self.whole else self.text.lower() in as_text(value).lower()


@dataclass(frozen=True, slots=True)
class Created:
    """The run was created in a year, month, day, hour, minute or second of UTC, which is how its date begins."""

    beginning: str

    def holds(self, run: RunSummary, baselines: Baselines = NO_BASELINES) -> bool:
        return run.created_text.startswith(self.beginning)


@dataclass(frozen=True, slots=True)
class Compares:
    """The field is a number on one side of a limit."""

    field: str
    operator: str
    limit: float

    def holds(self, run: RunSummary, baselines: Baselines = NO_BASELINES) -> bool:
        value = look_up(run, self.field, baselines)
        return is_number(value) and _ORDER[self.operator](value, self.limit)


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node

    def holds(self, run: RunSummary, baselines: Baselines = NO_BASELINES) -> bool:
        return not self.part.holds(run, baselines)


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Node, ...] = ()

    def holds(self, run: RunSummary, baselines: Baselines = NO_BASELINES) -> bool:
        return all(part.holds(run, baselines) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds."""

    parts: tuple[Node, ...]

    def holds(self, run: RunSummary, baselines: Baselines = NO_BASELINES) -> bool:
        return any(part.holds(run, baselines) for part in self.parts)


def matching(expression: str, runs: Iterable[RunSummary]) -> list[RunSummary]:
    """The runs for which the expression holds; ConfigError says where it makes no sense."""
    node, runs = parse(expression), list(runs)
    baselines = Baselines.among(runs) if "gap" in expression.lower() else NO_BASELINES
    return [run for run in runs if node.holds(run, baselines)]


def parse(expression: str) -> Node:
    """The condition that an expression states; an empty one holds for every run."""
    return _Parser(expression).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    """A word or a parenthesis, and where it begins."""

    text: str
    position: int
    is_quoted: bool = False

    def is_(self, *texts: str) -> bool:
        """Whether it is one of these, which quotes make plain words."""
        return not self.is_quoted and self.text.lower() in texts


class _Parser:
    """Reads an expression from left to right, a method for each level of its grammar."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = _Lexer(expression).tokens()
        self._place = 0
        self._depth = 0

    def whole(self) -> Node:
        """The whole expression."""
        if not self._tokens:
            return All()
        node = self._either()
        if (token := self._next()) is not None:
            raise _fault(self._expression, token.position, f"{token.text!r} closes nothing; expected a term or the end")
        return node

    def _either(self) -> Node:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self) -> Node:
        parts = [self._single()]
        while self._take("and") or self._begins_term():
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _begins_term(self) -> bool:
        token = self._next()
        return token is not None and not token.is_(")", "or")

    def _single(self) -> Node:
        token = self._expect("a term")
        if token.is_(")", "and", "or"):
            raise _fault(self._expression, token.position, f"expected a term before {token.text!r}")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _fault(self._expression, token.position, f"more than {_DEEPEST} levels of parentheses and not")
        if token.is_("not"):
            node: Node = Not(self._single())
        elif token.is_("("):
            node = self._either()
            closing = self._expect(f"the parenthesis that closes the one at character {token.position + 1}")
            # Whatever else could stand here, the level within would have taken.
            assert closing.is_(")")
        else:
            node = self._term(token)
        self._depth -= 1
        return node

    def _term(self, token: _Token) -> Node:
        sign = self._next()
        if sign is None or not sign.is_(*_OPERATORS):
            return _term(token.text, token.position)
        self._place += 1
        value = self._expect(f"a value after {sign.text!r}")
        if value.is_("(", ")"):
            raise _fault(self._expression, value.position, f"expected a value after {sign.text!r}")
        return _term(f"{token.text}{sign.text}{value.text}", token.position)

    def _next(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _expect(self, what: str) -> _Token:
        token = self._next()
        if token is None:
            raise _fault(self._expression, len(self._expression), f"expected {what}")
        self._place += 1
        return token

    def _take(self, keyword: str) -> bool:
        token = self._next()
        if token is None or not token.is_(keyword):
            return False
        self._place += 1
        return True


class _Lexer:
    """Takes an expression apart into words and parentheses, by the shell's rules for quotes."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._at = 0

    def tokens(self) -> list[_Token]:
        """All of them, in order."""
        found: list[_Token] = []
        while self._skip_blanks():
            if self._text[self._at] in "()":
                found.append(_Token(self._text[self._at], self._at))
                self._at += 1
            else:
                found.append(self._word())
        return found

    def _skip_blanks(self) -> bool:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at < len(self._text)

    def _word(self) -> _Token:
        start, word, is_quoted, depth = self._at, "", False, 0
        while self._at < len(self._text) and not self._text[self._at].isspace():
            character = self._text[self._at]
            # Parentheses within a word that has both are its own, as in name:pilot(2).
            if (character == ")" and not depth) or (character == "(" and not is_quoted and word.lower() in _KEYWORDS):
                break
            depth += (character == "(") - (character == ")")
            if character in "'\"\\":
                word, is_quoted = word + self._quoted(), True
            else:
                word, self._at = word + character, self._at + 1
        return _Token(word, start, is_quoted)

    def _quoted(self) -> str:
        opening, mark, kept = self._at, self._text[self._at], ""
        self._at += 1
        if mark == "\\":
            return self._escaped(opening)
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == mark:
                return kept
            if character == "\\" and mark == '"' and self._text[self._at : self._at + 1] in ('"', "\\"):
                character = self._escaped(opening)
            kept += character
        raise _fault(self._text, opening, "no closing quotation")

    def _escaped(self, opening: int) -> str:
        if self._at >= len(self._text):
            raise _fault(self._text, opening, "expected a character after \\")
        self._at += 1
        return self._text[self._at - 1]


def _term(word: str, position: int) -> Node:
    match = _TERM.fullmatch(word)
    if match is None:
        return Word(word)
    try:
        return _condition(match["field"], match["operator"], match["value"])
    except ConfigError as error:
        raise ConfigError(f"filter term {word!r} at character {position + 1}: {error}") from None


def _condition(field: str, sign: str, value: str) -> Node:
    if field.lower() == "has" and sign == ":":
        return Has(known_field(value))
    name = known_field(field)
    if sign in _ORDER:
        return Compares(name, sign, _limit(name, value))
    has_it = Created(_beginning(value)) if name == "created" else Contains(name, value, whole=sign != ":")
    return Not(has_it) if sign == "!=" else has_it


def _beginning(date: str) -> str:
    if _DATE.fullmatch(date) is None:
        raise ConfigError(f"{date!r} is not a date or the beginning of one, such as 2026-11 or 2026-11-01T12")
    return date.replace(" ", "T").upper()


def _limit(field: str, value: str) -> float:
    try:
        if field == "created" and "-" in value:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        limit = float(value)
    except (ValueError, OverflowError):
        limit = math.nan
    if math.isnan(limit):
        raise ConfigError(f"{value!r} is not a number" + (" or a date" if field == "created" else ""))
    return limit


def _equal(value: object, wanted: str) -> bool:
    if isinstance(value, tuple):
        return wanted.lower() in (str(part).lower() for part in value)
    if is_number(value):
        try:
            return float(wanted) == value
        except ValueError:
            return False
    return as_text(value).lower() == wanted.lower()


def _fault(expression: str, position: int, what: str) -> ConfigError:
    return ConfigError(f"filter {expression!r} at character {position + 1}: {what}")
