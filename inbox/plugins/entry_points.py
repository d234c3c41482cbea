"""Find and load what installed packages offer in an entry-point group; nothing else is imported."""

from difflib import get_close_matches
from typing import TYPE_CHECKING

from inbox.errors import StartupError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints


def named(group: str, name: str, what: str, where: str) -> "EntryPoint":
    """Return the one entry point of this name, which is a `what` and is named in `where`.

    Raises:
        StartupError: no installed package or more than one offers it.
    """
    found = _offered(group)
    if name not in found.names:
        raise StartupError(_not_installed(group, name, sorted(found.names), what, where))
    offers = sorted({(_package(each), each.value) for each in found.select(name=name)})
    if len(offers) > 1:
        packages = " and ".join(f"{package} ({value})" for package, value in offers)
        raise StartupError(
            f'more than one {what} "{name}" is installed: by {packages}; uninstall one, or rename its entry point'
        )
    return found[name]


def offered_by(group: str, name: str) -> str:
    """Return the distributions that offer this name, as text for people; "" if there is none."""
    return " and ".join(sorted({_package(each) for each in _offered(group).select(name=name)}))


def load_entry_point(entry_point: "EntryPoint", what: str) -> object:
    """Return what the entry point names; an instance of it, if that is a class.

    Raises:
        StartupError: it cannot be imported, or its class cannot be called without arguments.
    """
    try:
        target = entry_point.load()
        return target() if isinstance(target, type) else target
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # A module may call `sys.exit()`, which would set this command's own exit code.
        reason = f"{type(error).__name__}: {error}"
        said = f'{what} "{entry_point.name}" ({entry_point.value})'
        raise StartupError(f"{said} cannot be loaded: {reason}; fix its package") from error


def _offered(group: str) -> "EntryPoints":
    # Imported here: with its parser of mail headers it was a quarter of `import inbox`.
    from importlib.metadata import entry_points

    return entry_points(group=group)


def _package(entry_point: "EntryPoint") -> str:
    distribution = entry_point.dist
    return "a package without metadata" if distribution is None else f"{distribution.name} {distribution.version}"


def _not_installed(group: str, name: str, offered: list[str], what: str, where: str) -> str:
    near = get_close_matches(name, offered, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"installed are: {', '.join(offered) or 'none'}"
    article = "an" if what[0] in "aeiou" else "a"
    return (
        f'no installed package offers {article} {what} "{name}" in the entry-point group {group} ({hint}); '
        f"install the package, or correct {where}"
    )
