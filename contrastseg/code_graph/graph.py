"""The code that is executed from given definitions on, as one hash.

Definitions are the nodes of a graph, the names they use its edges. The graph's hash depends on what its nodes do and
on how they hang together, so moving or renaming a definition changes nothing, and binding a name to another does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial

from contrastseg.code_graph import modules, spellings
from contrastseg.code_graph.extended import without_extension
from contrastseg.code_graph.left_out import LEFT_OUT, WORDING
from contrastseg.code_graph.modules import PACKAGE, Target, module, modules_below, packages_of, source
from contrastseg.code_graph.normal_form import NormalForm, Reference, normal_form
from contrastseg.code_graph.remembered import forget, remembered
from contrastseg.code_graph.spellings import former_spelling


@cache
def code_fingerprint(roots: Sequence[str]) -> str:
    """16 hex digits for the code that is executed from `roots` on, as far as it lies in the packages they are of.

    Args:
        roots: `package.module:name` for a definition, `package.module` for all of a module, `package.*` for all modules
            of a package.
    """
    tops = _tops(roots)
    return remembered(tops, f"fingerprint {' '.join(roots)}", lambda: _fingerprint(roots, tops))


def _fingerprint(roots: Sequence[str], tops: frozenset[str]) -> str:
    wanted = _entries([reference for root in roots for reference in _named(root)], tops)
    reached = {reference for root in wanted for reference in _reached(root, tops)}
    hashed = hashlib.sha256()
    for shape in sorted({_shape(root, tops) for root in wanted}):
        hashed.update(f"{shape}\n".encode())
    forms = {reference: _form(reference, tops) for reference in reached}
    words = spellings.with_former(frozenset[str]().union(*(form.words for form in forms.values())))
    # What is called from outside may be given anything by name; the others, what the code names somewhere.
    parameters = (_passed(form, None if name in wanted else words) for name, form in forms.items())
    for line in sorted(f"{form.digest} {names}" for form, names in zip(forms.values(), parameters, strict=True)):
        hashed.update(f"{line}\n".encode())
    for effect in sorted(_effects({reference.module for reference in reached}, tops)):
        hashed.update(f"{effect}\n".encode())
    return hashed.hexdigest()[:16]


def definition(thing: type | Callable[..., object]) -> str:
    """A class or function as a root; its whole module where it is bound to another name, or made by a function."""
    name, place = getattr(thing, "__name__", type(thing).__name__), thing.__module__
    root = f"{place}:{name}"
    bound = remembered(_tops([root]), f"bound {root}", lambda: name in module(place).bindings)
    return root if bound else place


def reached_of(roots: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of the modules of these names that are among `modules_reached`."""
    question = f"reached {' '.join(roots)} of {' '.join(names)}"
    return remembered(_tops(roots), question, lambda: sorted(modules_reached(roots) & set(names)))


def modules_reached(roots: Sequence[str]) -> set[str]:
    """The modules of the definitions that are executed from `roots` on."""
    tops = _tops(roots)
    return {reached.module for root in roots for name in _named(root) for reached in _reached(name, tops)}


def _tops(roots: Sequence[str]) -> frozenset[str]:
    """The packages whose code counts."""
    return frozenset({root.partition(":")[0].partition(".")[0] for root in roots} | {PACKAGE})


def _named(root: str) -> Iterator[Reference]:
    """The definitions that a root names.

    Raises:
        LookupError: There is none of that name.
    """
    place, _, name = root.partition(":")
    if name:
        resolved = _resolve(Target(place, name), frozenset({place.partition(".")[0]}))
        if not isinstance(resolved, Reference):
            raise LookupError(f"{place} defines no {name}")
        yield resolved
        return
    for each in modules_below(place.removesuffix(".*")) if place.endswith(".*") else [place]:
        if source(each) is not None and each not in LEFT_OUT:
            yield from (Reference(each, bound) for bound in module(each).bindings)


def _entries(named: Sequence[Reference], tops: frozenset[str]) -> list[Reference]:
    """Those of the definitions that no other of them leads to, so that it does not matter where helpers lie."""
    entries: list[Reference] = []
    for name in dict.fromkeys(named):
        if not any(name in _reached(entry, tops) for entry in entries):
            entries = [*(entry for entry in entries if entry not in _reached(name, tops)), name]
    return entries


def _passed(form: NormalForm, words: frozenset[str] | None) -> str:
    """The names of the parameters that count: those among the words, or all of them."""
    return " ".join(name if words is None or name in words else "_" for name in form.parameters)


@cache
def _form(reference: Reference, tops: frozenset[str]) -> NormalForm:
    """The normal form of a definition; that of a module as a whole refers to everything in it, by name."""
    read = module(reference.module)
    if reference.name is not None:
        form = normal_form(
            read.bindings[reference.name],
            reference.module,
            look_up=partial(_look_up, reference.module, tops=tops),
            resolve=partial(_resolve, tops=tops),
        )
        return without_extension(form)
    digest = hashlib.sha256(" ".join(read.bindings).encode()).hexdigest()
    return NormalForm(digest, tuple(Reference(read.name, name) for name in read.bindings), (), frozenset())


@cache
def _reached(root: Reference, tops: frozenset[str]) -> dict[Reference, int]:
    """The definitions that one leads to, numbered as they are met: depth first, in the order of the text."""
    numbers: dict[Reference, int] = {}
    pending = [root]
    while pending:
        reference = pending.pop()
        if reference not in numbers:
            numbers[reference] = len(numbers)
            pending += reversed(_form(reference, tops).references)
    return numbers


@cache
def _shape(root: Reference, tops: frozenset[str]) -> str:
    """The hash of what a definition leads to: what each does, and which of them it refers to where."""
    numbers = _reached(root, tops)
    hashed = hashlib.sha256()
    for reference in numbers:
        form = _form(reference, tops)
        hashed.update(f"{form.digest} {[numbers[other] for other in form.references]}\n".encode())
    return hashed.hexdigest()


def _look_up(inside: str, name: str, *, tops: frozenset[str]) -> Reference | str:
    """What a name at the top of a module is."""
    read = module(inside)
    if name in read.bindings or name in read.imports or read.stars:
        resolved = _resolve(Target(inside, name), tops)
        if resolved != f"unknown {name}":
            return resolved
    return "typing only" if name in read.typing_only else f"builtin {name}"


@cache
def _resolve(target: Target, tops: frozenset[str]) -> Reference | str:
    """The definition that a target is in the end, whichever modules pass it on."""
    place, name = target.module, target.name
    whole = place if name is None else f"{place}.{name}"
    if place.partition(".")[0] not in tops:
        return f"foreign {whole}"
    if whole in WORDING or place in WORDING:
        return f"wording {former_spelling(name, place)}"
    if place in LEFT_OUT and (place != PACKAGE or source(whole) is None):
        return f"left out {former_spelling(name, place)}"
    if name is None:
        return Reference(place, None) if source(place) is not None else f"unknown {place}"
    read = module(place)
    if name in read.bindings:
        return Reference(place, name)
    if name in read.imports and read.imports[name] != target:
        return _resolve(read.imports[name], tops)
    if source(whole) is not None:
        return f"left out {name}" if whole in LEFT_OUT else Reference(whole, None)
    for star in read.stars:
        resolved = _resolve(Target(star, name), tops)
        if not isinstance(resolved, str) or not resolved.startswith("unknown "):
            return resolved
    return f"unknown {name}"


def _effects(executed: Iterable[str], tops: frozenset[str]) -> Iterator[str]:
    """What importing these modules does beside binding names, each as a hash."""
    pending, seen = list(executed), set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name in LEFT_OUT or name.partition(".")[0] not in tops or source(name) is None:
            continue
        seen.add(name)
        pending += [*packages_of(name), *module(name).imported]
        if module(name).effects:
            yield _effect(name, tops)


@cache
def _effect(name: str, tops: frozenset[str]) -> str:
    form = normal_form(
        module(name).effects, name, look_up=partial(_look_up, name, tops=tops), resolve=partial(_resolve, tops=tops)
    )
    return " ".join((form.digest, *(_shape(reference, tops) for reference in form.references)))


def clear() -> None:
    """Forget what was read: for tests that change sources."""
    for function in (code_fingerprint, _form, _reached, _shape, _resolve, _effect):
        function.cache_clear()
    modules.clear()
    spellings.clear()
    forget()
