"""Modules as parsed source: what each defines and imports, what a definition refers to, and its normal form.

The ground of fingerprints (core/fingerprint.py). Nothing is imported or run.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

# What runs when a module is imported, apart from definitions: bare calls, loops, conditionals, ...
TOP = "(top level)"

# Decorators that do no more than change what they decorate. Any other one may register it somewhere.
PURE_DECORATORS = {
    "contextlib.asynccontextmanager",
    "contextlib.contextmanager",
    "dataclasses.dataclass",
    "functools.cache",
    "functools.lru_cache",
    "functools.singledispatch",
    "functools.total_ordering",
    "functools.wraps",
    "numba.jit",
    "numba.njit",
    "torch.inference_mode",
    "torch.no_grad",
    "typing.final",
    "typing.overload",
    "typing.runtime_checkable",
}
_PURE_METACLASSES = {"ABCMeta"}

# Arguments that describe and decide nothing: their words are no part of the normal form.
WORDS = {"description", "meaning", "help"}
# Declarations that take a meaning, and its position among their arguments.
DESCRIBED = {"transferlens.core.artefacts.Field": 3, "transferlens.core.artefacts.estimate": 2}

# Names by which code gets at its own module other than by name.
_WHOLE = {"globals", "eval", "exec"}
_NO_MEANING = {"ctx", "kind", "type_comment"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Chain = tuple[str, ...]


@dataclass
class Uses:
    """What a piece of code refers to beyond itself.

    Attributes:
        names: names of its module with the attributes asked of them, as ("index", "read_index"), and the
            text that such a thing is called with first, where that is a literal.
        imported: what it imports itself, with attributes, as "transferlens.data.index.read_index".
        modules: modules that it imports when it runs, and what may be one.
        own_file: whether it asks for its place on disk.
        whole_module: whether it gets at its module by other means than names.
    """

    names: set[tuple[Chain, str | None]] = field(default_factory=set)
    imported: set[tuple[str, str | None]] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    own_file: bool = False
    whole_module: bool = False


class Definition:
    """The statements that bind one name of a module (or, as `TOP`, all that bind none)."""

    def __init__(self, module: "Module"):
        self.module, self.nodes = module, []

    @cached_property
    def _scan(self) -> "_Scan":
        scan = _Scan(self.module)
        for node in self.nodes:
            scan.visit(node)
        return scan

    @property
    def uses(self) -> Uses:
        """What it refers to."""
        return self._scan.uses

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its normal form."""
        text = "\n".join(_normal(node, self._scan.words) for node in self.nodes)
        return hashlib.sha256(text.encode()).hexdigest()


class Module:
    """A parsed module.

    Attributes:
        definitions: functions, classes and assignments to plain names; and `TOP`, where there is any.
        aliases: names bound by imports, with what they may stand for.
        imports: modules imported when it is imported, and what may be one.
        stars: modules of which it imports every name.
        always: definitions that matter as soon as the module is imported.
        classes: its classes, in order.
    """

    def __init__(self, name: str, path: Path, is_package: bool):
        self.name, self.path, self.is_package = name, path, is_package
        self.definitions: dict[str, Definition] = {}
        self.aliases: dict[str, tuple[str, ...]] = {}
        self.imports: list[str] = []
        self.stars: list[str] = []
        self.always: list[str] = []
        self.classes: list[ast.ClassDef] = []
        for node in ast.parse(path.read_bytes(), str(path)).body:
            self._take(node)
        self.top_names = {name for node in self._top_nodes() for name in _bound(_statements([node]))}

    def _top_nodes(self) -> list[ast.stmt]:
        return self.definitions[TOP].nodes if TOP in self.definitions else []

    def _take(self, node: ast.stmt) -> None:
        if _is_text(node):
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            self._define(node.name, node)
            if isinstance(node, ast.ClassDef):
                self.classes.append(node)
            if not all(self.dotted(decorator) in PURE_DECORATORS for decorator in node.decorator_list):
                self.always.append(node.name)
        elif names := _plain_targets(node):
            for name in names:
                self._define(name, node)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            for other in node.orelse:
                self._take(other)
        else:
            self._define(TOP, node)
            self.always.append(TOP)
            for inner in _statements([node]):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    self._import(inner)

    def _define(self, name: str, node: ast.stmt) -> None:
        self.definitions.setdefault(name, Definition(self)).nodes.append(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, target in imported_names(node, self.name, self.is_package):
            self.imports.append(target)
            if name == "*":
                self.stars.append(target)
            elif name:
                self.aliases[name] = (*self.aliases.get(name, ()), target)

    def dotted(self, node: ast.expr) -> str:
        """What an expression `a.b.c` (or a call of it) stands for, by this module's imports; else ''."""
        chain = _chain(node.func if isinstance(node, ast.Call) else node)
        if chain is None:
            return ""
        root = self.aliases.get(chain[0], chain[:1])[0]
        return ".".join((root, *chain[1:]))


@cache
def parsed(name: str, path: Path, modified: int, size: int) -> Module:
    """The module in a file that was `modified` (nanoseconds) and has a `size`: parsed once in a process."""
    return Module(name, path, path.name == "__init__.py")


def imported_names(
    node: ast.Import | ast.ImportFrom, module: str, is_package: bool
) -> Iterator[tuple[str, str]]:
    """(name that is bound, '' if none; what it stands for) of an import statement in a module."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            whole = alias.name if alias.asname else alias.name.split(".")[0]
            yield alias.asname or whole, whole
            yield "", alias.name
        return
    base = node.module or ""
    if node.level:
        above = module.split(".")
        above = above[: len(above) - node.level + is_package]
        base = ".".join([*above, *([base] if base else [])])
    yield "", base
    for alias in node.names:
        if alias.name == "*":
            yield "*", base
        else:
            yield alias.asname or alias.name, f"{base}.{alias.name}"


def _plain_targets(node: ast.stmt) -> list[str]:
    """The names of an assignment to plain names (or tuples of these) alone; none for anything else."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return []
    leaves = list(_leaves(node.targets if isinstance(node, ast.Assign) else [node.target]))
    also_binds = any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(node))
    if also_binds or not all(isinstance(leaf, ast.Name) for leaf in leaves):
        return []
    return [leaf.id for leaf in leaves]


def _leaves(targets: Iterable[ast.expr]) -> Iterator[ast.expr]:
    for target in targets:
        if isinstance(target, ast.Tuple | ast.List):
            yield from _leaves(target.elts)
        elif isinstance(target, ast.Starred):
            yield from _leaves([target.value])
        else:
            yield target


def _chain(node: ast.expr) -> Chain | None:
    """("a", "b", "c") of the expression `a.b.c`."""
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else None


def _is_text(node: ast.AST) -> bool:
    """A docstring, or another text that stands by itself."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def acts_on_subclasses(node: ast.ClassDef) -> bool:
    """Whether a class may do something whenever another one inherits from it."""
    metaclasses = [(_chain(k.value) or ("",))[-1] for k in node.keywords if k.arg == "metaclass"]
    hooks = [inner for inner in node.body if getattr(inner, "name", "") == "__init_subclass__"]
    return bool(hooks) or not set(metaclasses) <= _PURE_METACLASSES


def _is_type_checking(test: ast.expr) -> bool:
    return (_chain(test) or ("",))[-1] == "TYPE_CHECKING"


def _statements(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Nodes and all below them that run in the same scope; of inner functions and classes only themselves."""
    left = list(nodes)
    while left:
        node = left.pop()
        yield node
        if isinstance(node, _COMPREHENSIONS):
            yield from (inner for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            left += node.orelse
        elif not isinstance(node, _SCOPES):
            left += ast.iter_child_nodes(node)


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that nodes of one scope bind, but for imports."""
    names, outside = set(), set()
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.NamedExpr(target=ast.Name(id=name)):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                names.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                names.add(name)
            case ast.Global(names=declared) | ast.Nonlocal(names=declared):
                outside.update(declared)
    return names - outside


class _Scan(ast.NodeVisitor):
    """Collects what code refers to outside itself, and the constants that are words only.

    Scopes map the names bound in the functions around a node to what they stand for: something imported, or
    None. A name that a class body binds and reads counts as free, which can only add
    references.
    """

    def __init__(self, module: Module):
        self.module, self.uses, self.words = module, Uses(), set()
        self._scopes: list[dict[str, tuple[str, ...] | None]] = []

    def _refer(self, chain: Chain, literal: str | None = None) -> None:
        """Record a name with its attributes, where it is none of the code's own."""
        for scope in reversed(self._scopes):
            if chain[0] in scope:
                for target in scope[chain[0]] or ():
                    self.uses.imported.add((".".join((target, *chain[1:])), literal))
                return
        self.uses.names.add((chain, literal))
        self.uses.own_file |= chain == ("__file__",)
        self.uses.whole_module |= chain[0] in _WHOLE

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._refer((node.id,))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        literal = isinstance(node.slice, ast.Constant)
        self.uses.whole_module |= self.module.dotted(node.value) == "sys.modules" and not literal
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if chain := _chain(node):
            self._refer(chain)
        else:
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        self._mark_words(node)
        literals = [a.value if isinstance(a, ast.Constant) else None for a in node.args[:2]]
        chain = _chain(node.func)
        if chain is None:
            self.visit(node.func)
        else:
            self._refer(chain, literals[0] if literals and isinstance(literals[0], str) else None)
        arguments = node.args
        by_text = chain == ("getattr",) and isinstance(literals[-1], str) and len(literals) == 2
        if by_text and (asked := _chain(arguments[0])):  # getattr(a.b, "c") is a.b.c
            self._refer((*asked, literals[1]))
            arguments = arguments[1:]
        self.uses.whole_module |= chain == ("vars",) and not node.args
        for argument in (*arguments, *node.keywords):
            self.visit(argument)

    def _mark_words(self, node: ast.Call) -> None:
        texts = [keyword.value for keyword in node.keywords if keyword.arg in WORDS]
        place = DESCRIBED.get(self.module.dotted(node.func))
        if place is not None and len(node.args) > place:
            texts.append(node.args[place])
        for text in texts:
            parts = text.values if isinstance(text, ast.JoinedStr) else [text]
            self.words |= {id(p) for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)}

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, target in imported_names(node, self.module.name, self.module.is_package):
            self.uses.modules.add(target)
            # A name of the module or a function is followed where it is used; one of a class body at once.
            scope = self._scopes[-1] if self._scopes else self.module.aliases
            if name and target not in (scope.get(name) or ()):
                self.uses.imported.add((target, None))

    visit_ImportFrom = visit_Import

    def visit_If(self, node: ast.If) -> None:
        for part in node.orelse if _is_type_checking(node.test) else (node.test, *node.body, *node.orelse):
            self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_annotation(node.annotation)
        self.visit(node.target)
        if node.value:
            self.visit(node.value)

    def _visit_annotation(self, node: ast.expr | None) -> None:
        """Names in quotes count, too: pydantic and dataclasses look them up."""
        for inner in ast.walk(node) if node else ():
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                try:
                    self.visit(ast.parse(inner.value, mode="eval"))
                except SyntaxError:
                    continue
        if node:
            self.visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for outside in (*node.decorator_list, *getattr(node, "type_params", ())):
            self.visit(outside)
        self._visit_annotation(node.returns)
        self._visit_function(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_function(node.args, [node.body])

    def _visit_function(self, arguments: ast.arguments, body: list[ast.AST]) -> None:
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        given += [star for star in (arguments.vararg, arguments.kwarg) if star]
        for argument in given:
            self._visit_annotation(argument.annotation)
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default:
                self.visit(default)
        inner = list(_statements(body))
        scope = dict.fromkeys([*(argument.arg for argument in given), *_bound(inner)])
        for node in inner:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name, target in imported_names(node, self.module.name, self.module.is_package):
                    if name:
                        scope[name] = (*(scope.get(name) or ()), target)
        self._within(scope, body)

    def _visit_comprehension(self, node: ast.expr) -> None:
        self.visit(node.generators[0].iter)  # runs outside
        bound = dict.fromkeys(_bound(_statements(generator.target for generator in node.generators)))
        parts = [getattr(node, name) for name in ("elt", "key", "value") if hasattr(node, name)]
        for i, generator in enumerate(node.generators):
            parts += [generator.target, *([generator.iter] if i else []), *generator.ifs]
        self._within(bound, parts)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def _within(self, scope: dict[str, tuple[str, ...] | None], nodes: Iterable[ast.AST]) -> None:
        self._scopes.append(scope)
        for node in nodes:
            self.visit(node)
        self._scopes.pop()


def _normal(node: object, words: set[int]) -> str:
    """The text of a syntax tree without positions, comments, docstrings and words.

    Fields that are empty are left out, as Python's minor versions add such fields: an upgrade re-runs only
    what it parses into other nodes.
    """
    if isinstance(node, ast.Constant):
        return "words" if id(node) in words else repr(node.value)
    if isinstance(node, ast.AST):
        values = ((name, getattr(node, name, None)) for name in node._fields if name not in _NO_MEANING)
        fields = [
            f"{name}={_normal(value, words)}" for name, value in values if value is not None and value != []
        ]
        return f"{type(node).__name__}({' '.join(fields)})"
    if isinstance(node, list):
        return f"[{', '.join(_normal(item, words) for item in node if not _is_text(item))}]"
    return repr(node)
