"""Exceptions: they come back as themselves where that is possible, and as text where it is not."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from wrens import errors
from wrens.errors import Cancelled, RemoteError
from wrens.serialize import describe_failure, rebuild_failure
from wrens.wire import decoders
from wrens.wire.records import Failure


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def there_and_back(error: BaseException, **more: Any) -> BaseException:
    failure = describe_failure(raised(error), **more)
    sent = decoders.from_msgpack(Failure, msgspec.msgpack.encode(failure))
    return rebuild_failure(sent)


class Keywords(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Wrapping(Exception):
    def __init__(self, text: str, more: int) -> None:
        super().__init__(f"<{text}>")
        self.more = more


class Making(Exception):
    def __new__(cls, first: int, second: int) -> Making:  # noqa: PYI034
        return super().__new__(cls, first)

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first)
        self.second = second


class Slotted(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "gone", path)
        self.path = path


class Leaving(SystemExit):
    def __init__(self, *, status: int) -> None:
        super().__init__(status)


class Undecodable(UnicodeDecodeError):
    def __init__(self, *, at: int) -> None:
        super().__init__("utf-8", b"abc\xff", at, at + 1, "odd")


class Own(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.a, self.b = a, b

    def __reduce__(self) -> Any:
        return Own, (self.a, self.b)


class Odd(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyError("k"),
        FileNotFoundError(2, "gone", "f.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
        StopIteration(3),
        SystemExit(4),
        KeyboardInterrupt(),
        SyntaxError("bad", ("f.py", 1, 2, "x =", 1, 3)),
        ImportError("none", name="x", path="y"),
        Keywords(code=7),
        Wrapping("a", 2),
        Making(1, 2),
        Slotted("p"),
        Leaving(status=5),
        Undecodable(at=3),
        Own(1, 2),
        Odd("odd"),
        sqlite3.OperationalError("locked"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_same_exception_comes_back(error: BaseException) -> None:
    found = there_and_back(error)
    assert type(found) is type(error)
    assert found.args == error.args
    assert str(found) == str(error)
    for name in ("code", "more", "second", "path", "filename", "errno", "value", "start", "a", "b", "lineno"):
        assert getattr(found, name, None) == getattr(error, name, None)
    assert found.__notes__[0].startswith("Traceback")


def test_classes_defined_in_a_function_come_back() -> None:
    class Local(Keywords):
        pass

    found = there_and_back(Local(code=3))
    assert type(found) is Local
    assert found.code == 3


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n != "WrensError"])
def test_errors_of_wrens_come_back(name: str) -> None:
    kind = getattr(errors, name)
    facts: dict[str, tuple[Any, ...]] = {
        "JobFailed": ("j", {1: ValueError("no")}, {0: 3}),
        "WorkersStalled": (3, {0: 3, 1: 2}, 60.0, 1),
        "JobIncomplete": ("j", 2, {0: 1}),
        "WorkerLost": ("j", 3, ["one"], "memory"),
        "TaskTimeout": ("j", 3, 1.5),
        "Cancelled": ("j", 3),
        "VersionMismatch": ("Python", "3.11", "3.12"),
        "UnknownBackend": ("x", ["y"]),
        "MissingModule": ("scipy", "f"),
        "WrongPython": ("3.12", "3.11", "lambda"),
        "CannotResolve": (("a==1",), "x86_64-manylinux_2_34", "no"),
        "NoWheel": (("a==1",), "x86_64-manylinux_2_34", "no"),
        "EnvironmentTooLarge": (2, 1),
        "BadData": ("s3://lab/words.txt", 12, "no"),
    }
    error = kind(*facts.get(name, ("a", "b")))
    found = there_and_back(error, kind="system")
    assert type(found) is kind
    assert str(found) == str(error)
    state = {k: v for k, v in vars(found).items() if k != "__notes__"}
    assert repr(state) == repr(vars(error))


def test_notes_come_after_the_users_own() -> None:
    error = ValueError("no")
    error.add_note("mine")
    found = there_and_back(error, notes=["in task 3", "log: x"])
    assert found.__notes__[0] == "mine"
    assert "ValueError: no" in found.__notes__[1]
    assert found.__notes__[2:] == ["in task 3", "log: x"]


def fails(run: Callable[[], Any]) -> Exception:
    try:
        run()
    except Exception as error:
        return error
    raise AssertionError


def test_cause_and_context_come_back() -> None:
    def run() -> None:
        try:
            try:
                raise Keywords(code=1)
            except Keywords as low:
                raise ValueError("middle") from low
        except ValueError:
            raise KeyError("top")  # noqa: B904 - the context is what is tested

    found = rebuild_failure(describe_failure(fails(run)))
    assert isinstance(found.__context__, ValueError)
    assert found.__cause__ is None
    assert found.__suppress_context__ is False
    middle = found.__context__
    assert isinstance(middle.__cause__, Keywords)
    assert middle.__cause__.code == 1
    assert middle.__suppress_context__ is True
    assert "direct cause" in found.__notes__[0]


def test_circles_of_exceptions_come_back() -> None:
    a, b = ValueError("a"), KeyError("b")
    a.__context__, b.__cause__ = b, a
    found = there_and_back(a)
    assert found.__context__ is not None
    assert found.__context__.__cause__ is found
    a.lock = threading.Lock()  # type: ignore[attr-defined]
    found = there_and_back(a)
    assert isinstance(found.__context__, KeyError)


def test_groups_come_back_with_the_causes_inside() -> None:
    inner = ValueError("one")
    inner.__cause__ = Keywords(code=2)
    inner.add_note("inside")
    group = ExceptionGroup("many", [inner, ExceptionGroup("nested", [Keywords(code=3)])])
    found = there_and_back(group)
    assert isinstance(found, ExceptionGroup)
    one, nested = found.exceptions
    assert isinstance(one.__cause__, Keywords)
    assert one.__notes__ == ["inside"]
    assert isinstance(nested, ExceptionGroup)
    assert nested.exceptions[0].code == 3
    assert type(there_and_back(BaseExceptionGroup("b", [SystemExit(1)]))) is BaseExceptionGroup


def test_what_does_not_pickle_is_left_out() -> None:
    error = Keywords(code=5)
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    error.args = ("text", threading.Lock())
    found = there_and_back(error)
    assert isinstance(found, Keywords)
    assert found.code == 5
    assert not hasattr(found, "lock")
    assert found.args[0] == "text"
    assert "lock" in found.args[1]


def test_a_long_chain_with_a_bad_end_is_still_described() -> None:
    error: BaseException = ValueError("end")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    for number in range(60):
        outer = ValueError(number)
        outer.__context__ = error
        error = outer
    found = there_and_back(error)
    links = 0
    while found.__context__ is not None:
        found, links = found.__context__, links + 1
    assert links == 60


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("str")

    def __repr__(self) -> str:
        raise RuntimeError("repr")


class NoReduce(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("reduce")


class Exits(Exception):
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class NoReturn(Exception):
    def __reduce__(self) -> Any:
        return "somewhere"


class Lies(Exception):
    def __reduce__(self) -> Any:
        return int, ("3",)


class NoState(Exception):
    def __init__(self) -> None:
        super().__init__("no state")
        self.fact = 1

    def __setstate__(self, state: Any) -> None:
        raise RuntimeError("setstate")


class NoNotes(Exception):
    def __init__(self) -> None:
        super().__init__("x")
        self.__notes__ = 3  # type: ignore[assignment]


class Proud(Exception):
    @property
    def fact(self) -> int:
        return 3


@pytest.mark.parametrize("kind", [Mute, NoReduce, Exits, NoReturn, Lies, NoState, NoNotes, Proud])
def test_hostile_exceptions_keep_their_type(kind: type[Exception]) -> None:
    error = kind()
    vars(error)["fact"] = 1
    found = there_and_back(error, notes=["a note"])
    assert type(found) is kind
    assert vars(found)["fact"] == 1
    assert found.__notes__[-1] == "a note"


def test_what_cannot_be_pickled_at_all_is_text() -> None:
    class Meta(type):
        def __reduce__(cls) -> Any:
            raise RuntimeError("a class that refuses")

    class Stubborn(Exception, metaclass=Meta):
        lock = threading.Lock()

    failure = describe_failure(raised(Stubborn("no")))
    assert failure.pickled == b""
    found = rebuild_failure(failure)
    assert isinstance(found, RemoteError)
    assert found.type_name.endswith("Stubborn")
    assert found.message == "no"


def test_what_cannot_be_rebuilt_here_is_text() -> None:
    failure = describe_failure(raised(ValueError("no")))
    for pickled, reason in (
        (b"junk", "Unpickling"),
        (b"\x80\x05K\x03.", "int"),
        (b"cnowhere\nX\n.", "nowhere"),
    ):
        found = rebuild_failure(msgspec.structs.replace(failure, pickled=pickled))
        assert isinstance(found, RemoteError)
        assert reason in found.reason
        assert found.__notes__


def test_a_cancelled_task_without_an_exception_is_cancelled() -> None:
    assert isinstance(rebuild_failure(Failure("cancelled", "x", "y")), Cancelled)


def test_frames_of_wrens_are_left_out_at_the_beginning() -> None:
    from wrens.serialize.references import load_reference, resolving
    from wrens.wire.records import ValueRef

    def user(ref: Any) -> None:
        raise ValueError("in the user's code")

    def call() -> None:
        with resolving(user):
            load_reference(ValueRef("s", "d"))

    error = fails(call)
    here = __name__.partition(".")[0]
    text = describe_failure(error, skip_frames_of=[here]).traceback
    assert "references.py" not in text
    assert "in the user's code" in text
    assert "references.py" in describe_failure(error).traceback


def test_long_and_odd_texts_can_be_stored() -> None:
    failure = describe_failure(raised(ValueError("x" * 1_000_000)))
    assert len(failure.message) < 200_000
    assert "left out" in failure.message
    assert there_and_back(ValueError("\udcff")).args == ("\udcff",)


def test_endless_recursion_is_described() -> None:
    def endless() -> None:
        endless()

    failure = describe_failure(fails(endless))
    assert failure.type_name == "RecursionError"
    assert len(failure.traceback) < 10_000
