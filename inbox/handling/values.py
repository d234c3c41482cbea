"""Make the values of typed handlers: what a route decoded, as the type that the handler's annotation names.

pydantic validates them, in its lax mode, so that a date may be a text. What it needs is built once, at the start.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inbox.documents import pointer_to
from inbox.errors import EventError, FailureKind, StartupError
from inbox.events import Event, exact_data, exact_row
from inbox.handling.parameters import Taken, Typed, shown

if TYPE_CHECKING:  # a sink without typed handlers does not import pydantic for them
    from pydantic import TypeAdapter, ValidationError

_SHOWN = 5
_WAY_OUT = (
    "annotate it with a pydantic model, a dataclass or a TypedDict whose members pydantic can validate, "
    "or take `event: Event` instead"
)


class UnfitValueError(EventError):
    """The value of an event that does not fit the type that its handler takes."""

    failure_kind = FailureKind.VALUE


def typed_call(call: Callable[..., Any], typed: Typed, *, batch: bool, of_row: bool) -> Callable[[Any, Any], Any]:
    """Return a function of the event, or of the events, and the transaction that calls a typed handler.

    Args:
        call: the handler.
        typed: its parameters.
        batch: whether it takes several events.
        of_row: whether the value is the row that an envelope holds.

    Raises:
        StartupError: nothing can validate the type; the text continues the handler's name.
    """
    value_of = _validation(typed, of_row=of_row)
    values_of = (lambda events: _all_values(value_of, events)) if batch else value_of
    if typed.positional == (Taken.VALUE, Taken.TRANSACTION) and not typed.named:
        return lambda argument, transaction: call(values_of(argument), transaction)
    indexes, named = [role.value for role in typed.positional], typed.named

    def called(argument: Any, transaction: Any) -> Any:
        given = (values_of(argument), argument, transaction)
        return call(*[given[index] for index in indexes], **{name: given[role.value] for name, role in named})

    return called


def _all_values(value_of: Callable[[Event], Any], events: Sequence[Event]) -> list[Any]:
    values: list[Any] = []
    try:
        for event in events:
            values.append(value_of(event))  # noqa: PERF401 - the error needs the number of values so far
    except UnfitValueError as error:
        error.index = len(values)
        raise
    return values


def _validation(typed: Typed, *, of_row: bool) -> Callable[[Event], Any]:
    from pydantic import ValidationError

    adapter, name = _adapter(typed), shown(typed.annotation)
    validate, read = adapter.validator.validate_python, _reader(adapter, of_row=of_row)

    def value_of(event: Event) -> Any:
        try:
            return validate(read(event))
        except ValidationError as error:
            raise UnfitValueError(f"the value does not fit {name}: {_members_at_fault(error)}") from None

    return value_of


def _adapter(typed: Typed) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(typed.annotation)
        adapter.rebuild(force=False)
    except Exception as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise StartupError(
            f'has a parameter "{typed.name}" of type {shown(typed.annotation)}, which cannot be built: '
            f"{reason}; {_WAY_OUT}"
        ) from error
    return adapter


def _reader(adapter: "TypeAdapter[Any]", *, of_row: bool) -> Callable[[Event], Any]:
    """Return the function that gives an event's data; numbers keep their digits where the type has a Decimal."""
    if _has_decimals(adapter.core_schema):
        return exact_row if of_row else exact_data
    return _row if of_row else _data


def _row(event: Event) -> Any:
    return event.row


def _data(event: Event) -> Any:
    return None if event.value is None else event.data


def _has_decimals(schema: Any) -> bool:
    """Return whether a decimal is anywhere in a schema of pydantic-core."""
    if isinstance(schema, Mapping):
        return schema.get("type") == "decimal" or any(_has_decimals(each) for each in schema.values())
    return isinstance(schema, list | tuple) and any(_has_decimals(each) for each in schema)


def _members_at_fault(error: "ValidationError") -> str:
    """Return where the value does not fit, and the kind of each misfit; never a value."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{_pointer(each['loc'])}: {each['type']}" for each in found[:_SHOWN]]
    return "; ".join(said) + (f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def _pointer(steps: Iterable[int | str]) -> str:
    return "".join(pointer_to(str(step)) for step in steps) or "the whole value"
