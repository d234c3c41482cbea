"""Find what each parameter of a handler takes: the event, its value as a type of the handler's own, the transaction."""

import inspect
import re
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from inbox.errors import StartupError
from inbox.events import Event
from inbox.handling.batch import Events
from inbox.handling.shapes import innermost

_SEQUENCES = (Sequence, Collection, Iterable, list)
_ANYTHING = (inspect.Parameter.empty, Any, object)
_NAMED = re.compile(r"(?:[\w.]*\.)?(Events?|Transaction)")
_NAMED_IN_SEQUENCE = re.compile(r"(?:[\w.]*\.)?(\w+)\[(?:[\w.]*\.)?Event\]")
_WAY_OUT = "import it where the module runs, outside of `if TYPE_CHECKING`"


class Taken(Enum):
    """The role of a parameter; the number is its index among the arguments of a call."""

    VALUE = 0
    EVENT = 1
    TRANSACTION = 2


_CONVENTION = {
    "event": Taken.EVENT,
    "events": Taken.EVENT,
    "tx": Taken.TRANSACTION,
    "transaction": Taken.TRANSACTION,
}
"""The role of a parameter without an annotation, by its name."""


@dataclass(frozen=True)
class Typed:
    """The parameters of a handler that takes a value of its own type.

    Attributes:
        name: the parameter that takes the value.
        annotation: its type; of a batch handler that of one element.
        positional: the roles of the arguments by position.
        named: the roles of the arguments by name.
    """

    name: str
    annotation: Any
    positional: tuple[Taken, ...]
    named: tuple[tuple[str, Taken], ...]


@dataclass(frozen=True)
class _Parameter:
    """A parameter without a default, and what its annotation says."""

    name: str
    annotation: Any
    role: Taken | None
    is_named: bool


def typed_parameters(target: Callable[..., Any], transaction: type, *, batch: bool) -> Typed | None:
    """Return the parameters of a handler that takes a value, or None if it takes the event and the transaction alone.

    Raises:
        StartupError: its annotations are contradictory or not defined; the text continues the handler's name.
    """
    found = list(_parameters(target, transaction))
    roles = [each.role for each in found]
    if Taken.VALUE not in roles:
        _require_order(found, roles, batch=batch)
        return None
    if len(found) == 2 and roles[0] in (None, Taken.EVENT) and not _is_model(found[1].annotation):
        return None  # the transaction under an interface of the handler's own
    return _typed([_by_convention(each) for each in found], batch=batch)


def _require_order(found: Sequence[_Parameter], roles: Sequence[Taken | None], *, batch: bool) -> None:
    if roles[:1] == [Taken.TRANSACTION]:
        raise StartupError("takes the transaction first; write it as `def handler(event, tx)`")
    if found and roles[0] is Taken.EVENT and not batch and _is_of_several(found[0].annotation):
        raise StartupError(f'takes several events in "{found[0].name}"; mark it with @inbox.handler(batch=True)')


def _is_of_several(annotation: Any) -> bool:
    return _is_of(annotation, Events) or _element(annotation) is not None


def _typed(found: Sequence[_Parameter], *, batch: bool) -> Typed:
    values = [each for each in found if each.role is Taken.VALUE]
    if len(values) > 1:
        names = " and ".join(f'"{each.name}"' for each in values)
        raise StartupError(
            f"takes several values, {names}, and an event has one; annotate one parameter with the type of the value, "
            "and the others with Event and Transaction"
        )
    for role in (Taken.EVENT, Taken.TRANSACTION):
        if sum(each.role is role for each in found) > 1:
            raise StartupError(f"has two parameters for the {role.name.lower()}; remove one")
    if any(each.role is None for each in found):
        name = next(each.name for each in found if each.role is None)
        raise StartupError(f'has a parameter "{name}" without an annotation; annotate it with Event or Transaction')
    if all(each.role is not Taken.TRANSACTION for each in found):
        raise StartupError("takes no transaction, so it could not change anything; add a parameter `tx: Transaction`")
    return _assembled(values[0], found, batch=batch)


def _assembled(value: _Parameter, found: Sequence[_Parameter], *, batch: bool) -> Typed:
    annotation = value.annotation
    if batch and (annotation := _element(annotation)) is None:
        raise StartupError(
            f'is a batch handler, and its parameter "{value.name}" takes {shown(value.annotation)}; '
            f"annotate it as Sequence[{shown(value.annotation)}], or remove batch=True"
        )
    roles = [(each.name, each.role, each.is_named) for each in found if each.role is not None]
    positional = tuple(role for _, role, is_named in roles if not is_named)
    named = tuple((name, role) for name, role, is_named in roles if is_named)
    return Typed(value.name, annotation, positional, named)


def _by_convention(found: _Parameter) -> _Parameter:
    if found.role is not None or found.name not in _CONVENTION:
        return found
    return _Parameter(found.name, found.annotation, _CONVENTION[found.name], found.is_named)


def _parameters(target: Callable[..., Any], transaction: type) -> Iterator[_Parameter]:
    try:
        parameters = _signature(target).parameters.values()
    except (TypeError, ValueError):  # a callable in C
        return
    for each in parameters:
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            annotation = _resolved(each, target, transaction)
            yield _Parameter(each.name, annotation, _role(annotation, transaction), each.kind is each.KEYWORD_ONLY)


def _signature(target: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of the call; of a decorator that takes any arguments that of what it wraps."""
    signature = inspect.signature(target, follow_wrapped=False)
    takes_any = any(each.kind is each.VAR_POSITIONAL for each in signature.parameters.values())
    wrapped = getattr(target, "__wrapped__", None)
    return _signature(wrapped) if takes_any and callable(wrapped) else signature


def _role(annotation: Any, transaction: type) -> Taken | None:
    if any(annotation is each for each in _ANYTHING):
        return None
    if _is_of(annotation, transaction):
        return Taken.TRANSACTION
    element = _element(annotation)
    is_event = _is_of(annotation, (Event, Events)) or annotation in _SEQUENCES or _is_of(element, Event)
    return Taken.EVENT if is_event or element is Any else Taken.VALUE


def _is_of(annotation: Any, kind: type | tuple[type, ...]) -> bool:
    """Return whether an annotation is the type, or one of several, or that or None."""
    if get_origin(annotation) in (Union, types.UnionType):
        return all(each is type(None) or _is_of(each, kind) for each in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, kind)


def _element(annotation: Any) -> Any:
    """Return the type of the elements of a sequence, or None."""
    if get_origin(annotation) not in _SEQUENCES:
        return None
    return get_args(annotation)[0]


def _is_model(annotation: Any) -> bool:
    """Return whether a type describes a value: a pydantic model, a dataclass, a TypedDict, or several of them."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is not None:
        return any(_is_model(each) for each in get_args(annotation))
    marks = ("__pydantic_core_schema__", "__dataclass_fields__", "__total__")
    return any(hasattr(annotation, mark) for mark in marks)


def _resolved(parameter: inspect.Parameter, target: Callable[..., Any], transaction: type) -> Any:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return annotation
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return get_type_hints(holder, globalns=_globals(target), include_extras=True)["it"]
    except Exception as error:  # noqa: BLE001 - the annotation is the handler's own code
        if isinstance(annotation, str) and (known := _known(annotation, transaction)) is not None:
            return known
        raise StartupError(
            f'has a parameter "{parameter.name}" whose annotation cannot be read: {error}; {_WAY_OUT}'
        ) from None


def _known(text: str, transaction: type) -> Any:
    """Return the meaning of an annotation whose names are imported for type checkers alone."""
    if (named := _NAMED.fullmatch(text)) is not None:
        return {"Event": Event, "Events": Events}.get(named[1], transaction)
    return Sequence[Event] if _NAMED_IN_SEQUENCE.fullmatch(text) else None


def _globals(target: Callable[..., Any]) -> dict[str, Any]:
    function: Any = innermost(target)
    if not hasattr(function, "__code__") and not hasattr(function, "__func__"):
        function = type(function).__call__
    return dict(getattr(inspect.unwrap(function), "__globals__", {}))


def shown(annotation: Any) -> str:
    """Return a type as the handler's author wrote it, or nearly."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
