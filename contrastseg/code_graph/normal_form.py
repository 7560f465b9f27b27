"""What a definition does, as text that its names, its place, its docstrings and its messages are no part of.

Local names become numbers, names of the modules hashed become references to what they are bound to. Names that others
may use from outside stay: attributes, names bound in a class's body, and keywords of calls, each as `spellings` says
it was spelled first. Names of parameters are kept apart, since they count only where somebody passes them by name.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from contrastseg.code_graph.modules import (
    FIELDS,
    Target,
    bound_names,
    is_for_type_checkers,
    is_text,
    statements_in,
    targets,
)
from contrastseg.code_graph.spellings import former_spellings


class Reference(NamedTuple):
    """A name of one of the modules hashed.

    Attributes:
        module: Dotted name of the module that defines it.
        name: The name; None for the module as a whole.
    """

    module: str
    name: str | None


@dataclass(frozen=True)
class NormalForm:
    """A definition's normal form.

    Attributes:
        digest: Of the text.
        references: What it refers to, in the order of the text.
        parameters: Names of the parameters of all its functions, in the order of the text.
        words: Keywords of its calls, and texts that could be keywords.
    """

    digest: str
    references: tuple[Reference, ...]
    parameters: tuple[str, ...]
    words: frozenset[str]


Resolve = Callable[[Target], "Reference | str"]
"""What an imported or a global name is: a reference, or a text for what is not among the modules hashed."""


Method = TypeVar("Method", bound=Callable[[Any, Any], None])


@dataclass
class _Scope:
    """A function's names: numbers by name, and what its import statements bind."""

    numbers: dict[str, int]
    imports: dict[str, Target]
    names: frozenset[str]
    is_class: bool = False


def normal_form(
    statements: Iterable[ast.AST], module: str, *, look_up: Callable[[str], Reference | str], resolve: Resolve
) -> NormalForm:
    """The normal form of statements at the top of a module.

    Args:
        statements: In their order.
        module: Dotted name of the module, for its relative imports.
        look_up: What a name at the module's top is.
        resolve: What a target of an import is.
    """
    writer = _Writer(module, look_up, resolve)
    for statement in statements:
        writer.write(statement)
    return writer.form()


_WRITERS: dict[type[ast.AST], Callable[[Any, Any], None]] = {}
"""How nodes are written that are not written as they are."""


def _writes(*kinds: type[ast.AST]) -> Callable[[Method], Method]:
    """Registers a method of the writer for nodes of these types."""

    def register(method: Method) -> Method:
        _WRITERS.update(dict.fromkeys(kinds, method))
        return method

    return register


class _Writer:
    """Writes the text of a syntax tree, scope by scope."""

    def __init__(self, module: str, look_up: Callable[[str], Reference | str], resolve: Resolve) -> None:
        self.module, self.look_up, self.resolve = module, look_up, resolve
        self.former = former_spellings(module)
        self.text: list[str] = []
        self.references: list[Reference] = []
        self.parameters: list[str] = []
        self.words: set[str] = set()
        self.scopes: list[_Scope] = []

    def form(self) -> NormalForm:
        digest = hashlib.sha256("\x1f".join(self.text).encode()).hexdigest()
        return NormalForm(digest, tuple(self.references), tuple(self.parameters), frozenset(self.words))

    # Names

    def spelled(self, name: str) -> str:
        """How the hash spells an attribute, a keyword or a parameter."""
        return self.former.get(name, name)

    def spelled_attribute(self, node: ast.Attribute) -> str:
        """How the hash spells an attribute: a row may name the variable that it is of."""
        name = self.spelled(node.attr)
        return self.former.get(f"{node.value.id}.{node.attr}", name) if isinstance(node.value, ast.Name) else name

    def meaning(self, name: str) -> Reference | str:
        """What a name is where the writer stands: a text of its number, a reference, or a text of something else."""
        for depth in range(len(self.scopes) - 1, -1, -1):
            scope = self.scopes[depth]
            if scope.is_class:
                if depth == len(self.scopes) - 1 and name in scope.names:
                    return f".{self.spelled(name)}"
            elif name in scope.imports:
                return self.resolve(scope.imports[name])
            elif name in scope.names:
                return f"local {depth} {scope.numbers.setdefault(name, len(scope.numbers))}"
        return self.look_up(name)

    def put(self, meaning: Reference | str) -> None:
        if isinstance(meaning, Reference):
            self.text.append("@")
            self.references.append(meaning)
        else:
            self.text.append(meaning)

    def chain(self, node: ast.AST) -> Reference | str | None:
        """What a name or a chain of attributes of modules is; None where an attribute is one of something else."""
        if isinstance(node, ast.Name):
            return self.meaning(node.id)
        if isinstance(node, ast.Attribute):
            base = self.chain(node.value)
            if isinstance(base, Reference) and base.name is None:
                return self.resolve(Target(base.module, node.attr))
            if isinstance(base, str) and base.startswith("foreign "):
                return f"{base}.{node.attr}"
        return None

    # Nodes

    def write(self, node: Any) -> None:
        """Write a node, a list of nodes, or a value of a field."""
        kind = type(node)
        if kind in _WRITERS:
            _WRITERS[kind](self, node)
        elif kind is list:
            self.text.append("[")
            for item in node:
                self.write(item)
            self.text.append("]")
        elif isinstance(node, ast.AST):
            self._as_it_is(node)
        else:
            self.text.append(f"{kind.__name__} {node!r}")

    def _as_it_is(self, node: ast.AST, **otherwise: Any) -> None:
        kind = type(node)
        self.text.append(f"({kind.__name__}")
        for name in FIELDS[kind]:
            self.write(otherwise[name] if name in otherwise else getattr(node, name))
        self.text.append(")")

    @_writes(ast.Expr)
    def _expression(self, node: ast.Expr) -> None:
        if not is_text(node):
            self._as_it_is(node)

    @_writes(ast.If)
    def _branches(self, node: ast.If) -> None:
        if is_for_type_checkers(node):
            self.write(node.orelse)
        else:
            self._as_it_is(node)

    @_writes(ast.Constant)
    def _constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node.value.isidentifier():
            self.words.add(node.value)
        self.text.append(f"{type(node.value).__name__} {node.value!r}")

    @_writes(ast.Name)
    def _name(self, node: ast.Name) -> None:
        self.put(self.meaning(node.id))

    @_writes(ast.Attribute)
    def _attribute(self, node: ast.Attribute) -> None:
        meaning = self.chain(node)
        if meaning is None:
            self.write(node.value)
            self.text.append(f".{self.spelled_attribute(node)}")
        else:
            self.put(meaning)

    @_writes(ast.Import, ast.ImportFrom)
    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if not self.scopes or self.scopes[-1].is_class:  # in a function they are names, written where they are used
            for name, target in targets(node, self.module):
                self.text.append(f"import {name}")
                self.put(self.resolve(target))

    @_writes(ast.Global)
    def _global(self, node: ast.Global) -> None:
        self.text.append("global")

    @_writes(ast.Nonlocal)
    def _nonlocal(self, node: ast.Nonlocal) -> None:
        self.text.append("nonlocal")

    @_writes(ast.Raise)
    def _raise(self, node: ast.Raise) -> None:
        self.text.append("raise")
        self.write(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
        self.write(node.cause)

    @_writes(ast.Assert)
    def _assert(self, node: ast.Assert) -> None:
        self.text.append("assert")
        self.write(node.test)

    @_writes(ast.Call)
    def _call(self, node: ast.Call) -> None:
        meaning = self.chain(node.func)
        if isinstance(meaning, str) and meaning.startswith("wording "):
            self.text.append(meaning)
            return
        self.text.append("(call")
        self.write(node.func)
        self.write(node.args[1:] if meaning == "foreign warnings.warn" else node.args)
        for keyword in node.keywords:
            if (meaning, keyword.arg) == ("foreign pydantic.Field", "description"):
                continue
            name = keyword.arg and self.spelled(keyword.arg)
            self.words.add(name or "")
            self.text.append(f"{name}=")
            self.write(keyword.value)
        self.text.append(")")

    @_writes(ast.ExceptHandler)
    def _handler(self, node: ast.ExceptHandler) -> None:
        self._named(node.name, "except", node.type, node.body)

    @_writes(ast.MatchAs)
    def _match_as(self, node: ast.MatchAs) -> None:
        self._named(node.name, "as", node.pattern)

    @_writes(ast.MatchStar)
    def _match_star(self, node: ast.MatchStar) -> None:
        self._named(node.name, "star")

    @_writes(ast.MatchClass)
    def _match_class(self, node: ast.MatchClass) -> None:
        self._as_it_is(node, kwd_attrs=[self.spelled(name) for name in node.kwd_attrs])

    @_writes(ast.MatchMapping)
    def _match_mapping(self, node: ast.MatchMapping) -> None:
        self._named(node.rest, "mapping", node.keys, node.patterns)

    def _named(self, name: str | None, kind: str, *parts: Any) -> None:
        self.text.append(f"({kind}")
        self.put("" if name is None else self.meaning(name))
        for part in parts:
            self.write(part)
        self.text.append(")")

    @_writes(ast.AnnAssign)
    def _annotated(self, node: ast.AnnAssign) -> None:
        if self.scopes and not self.scopes[-1].is_class and node.value is None:
            return  # inside a function an annotation is never looked at
        local = bool(self.scopes) and not self.scopes[-1].is_class
        self.text.append("(assign")
        self.write(node.target)
        self.write(None if local else node.annotation)
        self.write(node.value)
        self.text.append(")")

    @_writes(ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
    def _comprehension(self, node: Any) -> None:
        targeted = {name for generator in node.generators for name in bound_names(generator.target)}
        self.text.append(f"({type(node).__name__}")
        self.write(node.generators[0].iter)  # belongs to the scope around it
        self.scopes.append(_Scope({}, {}, frozenset(targeted)))
        for number, generator in enumerate(node.generators):
            self.write([generator.target, generator.ifs, generator.iter if number else None])
        for part in ("key", "value", "elt"):
            self.write(getattr(node, part, None))
        self.scopes.pop()
        self.text.append(")")

    @_writes(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    def _function(self, node: Any) -> None:
        self.text.append(f"({type(node).__name__}")
        if not isinstance(node, ast.Lambda):
            self.put(self.meaning(node.name))
            self.write(node.decorator_list)
            self.write(node.returns)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        apart = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
        self.text.append(f"{len(arguments.posonlyargs)} {len(arguments.args)} {len(arguments.kwonlyargs)}")
        self.text.append(f"{arguments.vararg is not None} {arguments.kwarg is not None}")
        self.write([argument.annotation for argument in (*every, *apart)])
        self.write(arguments.defaults)
        self.write(arguments.kw_defaults)
        self.parameters += [self.spelled(argument.arg) for argument in every[len(arguments.posonlyargs) :]]
        self.scopes.append(_function_scope(node, [argument.arg for argument in (*every, *apart)], self.module))
        self.write(node.body)
        self.scopes.pop()
        self.text.append(")")

    @_writes(ast.ClassDef)
    def _class(self, node: ast.ClassDef) -> None:
        self.text.append("(class")
        self.put(self.meaning(node.name))
        self.write(node.decorator_list)
        self.write(node.bases)
        self.write(node.keywords)
        names = frozenset(name for statement in node.body for name in bound_names(statement))
        self.scopes.append(_Scope({}, {}, names, is_class=True))
        self.write(node.body)
        self.scopes.pop()
        self.text.append(")")


def _function_scope(node: Any, parameters: list[str], module: str) -> _Scope:
    """The names of a function: its parameters first, since their order is how they are passed."""
    body = node.body if isinstance(node.body, list) else [node.body]
    elsewhere: set[str] = set()
    imports: dict[str, Target] = {}
    for inner in statements_in(body):
        if isinstance(inner, ast.Global | ast.Nonlocal):
            elsewhere |= set(inner.names)
        imports |= dict(targets(inner, module))
    names = {name for statement in body for name in bound_names(statement)} - elsewhere
    numbers = {name: number for number, name in enumerate(parameters)}
    return _Scope(numbers, imports, frozenset(names | set(parameters)))
