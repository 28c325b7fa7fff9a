"""Fingerprints of the code that decides a result: what a script reaches, definition by definition.

A rule has the fingerprint of its script among its params, so that a change of code re-runs what it decides
and nothing else. From the whole of the script, the functions, classes and assignments to plain names that
reached code names are followed through all modules of the package: classes whole, and of every module that
is imported its other statements (bare calls, loops, registering decorators), as these run whatever is used
of it. A module that is used other than as `module.name` counts whole, and so does one that looks its names
up by other means. What is reached only through a registry of import paths is named as a further entry point.

Part of the fingerprint: the parsed source of all that is reached, what its imported names stand for, and the
data that decide (tables beside a module that asks for its own place, templates that are named). No part:
comments, docstrings, formatting, the words of descriptions and meanings, and `INFRASTRUCTURE`. What cannot be
seen: names made at run time (`importlib.import_module` of a variable), registration by the value of an
assignment, versions and side effects of other packages, and what a program that is started does.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from transferlens.core.syntax import Chain, Definition, Module, acts_on_subclasses, parsed

# Modules that move bytes, log and plan, and decide no number: to mend them re-runs nothing. What an artefact
# holds stands in the rooms' declarations, which are code like any other.
INFRASTRUCTURE = {
    "transferlens.core.artefacts",
    "transferlens.core.capability",
    "transferlens.core.configuration",
    "transferlens.core.digests",
    "transferlens.core.errors",
    "transferlens.core.files",
    "transferlens.core.fingerprint",
    "transferlens.core.imports",
    "transferlens.core.job",
    "transferlens.core.labelled",
    "transferlens.core.provenance",
    "transferlens.core.run",
    "transferlens.core.syntax",
    "transferlens.core.zips",
    "transferlens.training.recipes.kinds",
    "transferlens.training.resumption",
}
WHOLE = "*"

_PACKAGE = "transferlens"
_DATA = (".yaml", ".tsv")
# Functions that read a file of the package by its name.
_READ_TEMPLATES = {"transferlens.pictures.templates.template", "transferlens.pictures.templates.text"}
_TEMPLATES = (".jinja", ".css", ".js")
_INCLUDED = re.compile(r"""{%-?\s*(?:include|extends|import|from)\s+["']([^"']+)["']""")
_IMPORT_BY_NAME = {"importlib.import_module", "__import__"}


@dataclass(frozen=True)
class Reached:
    """What a script reaches.

    Attributes:
        definitions: by module, the names of its top level in alphabetical order, or `WHOLE`.
        data_files: data that decide, relative to the package.
        packages: other packages that are imported, by modules as they are loaded or by functions reached.
    """

    definitions: dict[str, tuple[str, ...] | str]
    data_files: tuple[str, ...]
    packages: frozenset[str]


def fingerprint(script: str, *more: str) -> str:
    """`code:` and 16 hexadecimal digits that change with the code that decides what a script makes.

    Args:
        script: name of a file in scripts/.
        more: entry points, `module` or `module:Name`, that it reaches by import path only.

    Raises:
        ValueError: a script or an entry point that does not exist.
    """
    return _followed(script, *more).fingerprint()


def reached(script: str, *more: str) -> Reached:
    """What a script and further entry points reach; arguments and errors as of `fingerprint`."""
    return _followed(script, *more).reached()


def reaches(script: str, *more: str, name: str = "transferlens.training.device:pick") -> bool:
    """Whether a script reaches a definition `module:Name`.

    Raises:
        ValueError: also where there is no such definition, or in infrastructure, which is not followed.
    """
    return _followed(script, *more).reaches(name)


@cache
def _followed(script: str, *more: str) -> "Slice":
    return Tree(Path(__file__).resolve().parents[2]).follow(script, *more)


class Tree:
    """A checkout: the folder that holds transferlens/ and scripts/."""

    def __init__(self, root: Path):
        self.root = root

    def scripts(self) -> list[str]:
        """The names of all scripts."""
        return sorted(path.name for path in (self.root / "scripts").glob("*.py"))

    def follow(self, script: str, *more: str) -> "Slice":
        """The slice of the code that a script and further entry points reach, as it is on disk now."""
        return Slice(self, script, more)

    def fingerprint(self, script: str, *more: str) -> str:
        """As the function."""
        return self.follow(script, *more).fingerprint()

    def reached(self, script: str, *more: str) -> Reached:
        """As the function."""
        return self.follow(script, *more).reached()

    def script(self, name: str) -> Module:
        """A script, parsed."""
        path = self.root / "scripts" / name
        if not path.is_file():
            raise ValueError(f"scripts/ has no {name}")
        return _parsed(f"scripts/{name}", path)

    def module(self, name: str) -> Module | None:
        """A module of the package, or another script, which is on its path, parsed; None for any other."""
        below = self.root.joinpath(*name.split("."))
        if name.split(".")[0] != _PACKAGE:
            beside = self.root / "scripts" / f"{name}.py"
            return _parsed(f"scripts/{name}.py", beside) if beside.is_file() else None
        for path in (below / "__init__.py", below.with_suffix(".py")):
            if path.is_file():
                return _parsed(name, path)
        return None

    def modules_below(self, package: Module) -> list[str]:
        """The modules and packages directly in a package."""
        folder = package.path.parent
        files = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
        packages = [path.parent.name for path in folder.glob("*/__init__.py")]
        return [f"{package.name}.{name}" for name in sorted(files + packages)]

    def data_beside(self, module: Module) -> Iterator[Path]:
        """The data in a module's folder, and below it in folders that are no packages."""
        for folder, folders, files in os.walk(module.path.parent):
            folders[:] = [name for name in folders if not Path(folder, name, "__init__.py").exists()]
            yield from (Path(folder, name) for name in files if name.endswith(_DATA))

    def templates(self, place: str | None) -> Iterator[Path]:
        """A template or text of the package with the templates it includes; for None, all there are."""
        package = self.root / _PACKAGE
        if place is None:
            yield from (path for path in package.rglob("*") if path.name.endswith(_TEMPLATES))
            return
        yield package / place
        for included in _INCLUDED.findall((package / place).read_text(encoding="utf-8")):
            yield from self.templates(included)


def _parsed(name: str, path: Path) -> Module:
    state = path.stat()
    return parsed(name, path, state.st_mtime_ns, state.st_size)


class Slice:
    """What one script reaches, followed to the end on construction."""

    def __init__(self, tree: Tree, script: str, more: tuple[str, ...]):
        self._tree, self._modules = tree, {}
        self._names: dict[str, set[str]] = {}  # by module
        self._whole: set[str] = set()
        self._stands_for: set[str] = set()  # lines `module name = import`
        self._data: set[Path] = set()
        self._packages: set[str] = set()
        self._loaded: set[str] = set()  # modules that are imported
        self._entered: set[str] = set()  # those of them that count
        self._registering: set[str] = set()  # names of classes that act when they are subclassed
        self._asked: set[tuple[str, Chain, str | None]] = set()
        self._todo: list[Definition] = []
        self._take_whole(self._enter_script(tree.script(script)))
        for entry in more:
            self._take_entry(entry)
        while self._todo:
            self._take(self._todo.pop())

    def fingerprint(self) -> str:
        """`code:` and 16 hexadecimal digits."""
        lines = [
            f"{module} {name} {self._modules[module].definitions[name].digest}"
            for module, names in self._names.items()
            for name in names
        ]
        lines += self._stands_for
        lines += (f"{self._relative(path)} {_digest(path)}" for path in self._data)
        return f"code:{hashlib.sha256(chr(10).join(sorted(lines)).encode()).hexdigest()[:16]}"

    def reached(self) -> Reached:
        """By module."""
        definitions = {
            module: WHOLE if module in self._whole else tuple(sorted(names))
            for module, names in sorted(self._names.items())
            if names
        }
        data = tuple(sorted(self._relative(path) for path in self._data))
        return Reached(definitions, data, frozenset(self._packages))

    def reaches(self, entry: str) -> bool:
        """Whether a definition `module:Name` is part of it."""
        module, name = self._existing(entry)
        if module.name in INFRASTRUCTURE:
            raise ValueError(f"{module.name} is infrastructure, which is not followed")
        return name in self._names.get(module.name, ())

    def _relative(self, path: Path) -> str:
        return Path(os.path.relpath(path, self._tree.root / _PACKAGE)).as_posix()

    def _module(self, name: str) -> Module | None:
        if name not in self._modules:
            module = self._modules[name] = self._tree.module(name)
            if module:
                self._modules[module.name] = module
        return self._modules[name]

    def _existing(self, entry: str) -> tuple[Module, str]:
        """The module and the name ('' for all) of an entry point."""
        name, _, attribute = entry.partition(":")
        module = self._module(name)
        if module is None or (attribute and attribute not in {*module.definitions, *module.aliases}):
            raise ValueError(f"there is no '{entry}'")
        return module, attribute

    def _take_entry(self, entry: str) -> None:
        module, name = self._existing(entry)
        self._enter(module.name)
        if name:
            self._refer(module, (name,))
        else:
            self._take_whole(module)

    def _enter_script(self, script: Module) -> Module:
        self._modules[script.name] = script
        for target in script.imports:
            self._load(target)
            self._enter(target)
        return script

    def _load(self, name: str) -> None:
        """Note the packages that importing a module imports, through infrastructure, too."""
        for part in () if name in self._loaded else _prefixes(name):
            if part in self._loaded:
                continue
            self._loaded.add(part)
            if module := self._module(part):
                for target in module.imports:
                    self._load(target)
            elif "." not in part and part not in sys.stdlib_module_names:
                self._packages.add(part)

    def _enter(self, name: str) -> None:
        """Take what runs when a module is imported; that is all of it which is no definition."""
        self._load(name)
        for part in () if name in self._entered else _prefixes(name):
            module = self._module(part)
            if part in self._entered or part in INFRASTRUCTURE or module is None:
                continue
            self._entered.add(part)
            for target in module.imports:
                self._enter(target)
            for always in (*module.always, *self._registered(module)):
                self._reach(module, always)

    def _registered(self, module: Module) -> Iterator[str]:
        """Classes of a module whose bases act when they are subclassed; bases are known by their name."""
        for node in module.classes:
            bases = {module.dotted(base).split(".")[-1] for base in node.bases}
            if bases & self._registering:
                yield node.name
            if bases & self._registering or acts_on_subclasses(node):
                self._registering.add(node.name)

    def _reach(self, module: Module, name: str) -> None:
        if name not in self._names.setdefault(module.name, set()):
            self._names[module.name].add(name)
            self._todo.append(module.definitions[name])

    def _take(self, definition: Definition) -> None:
        """Follow what a definition refers to."""
        module, uses = definition.module, definition.uses
        for name in uses.modules:
            self._enter(name)
        for dotted, literal in uses.imported:
            self._follow(dotted, literal)
        for chain, literal in uses.names:
            self._refer(module, chain, literal)
        if uses.own_file:
            self._data.update(self._tree.data_beside(module))
        if uses.whole_module:
            self._take_whole(module)

    def _refer(self, module: Module, chain: Chain, literal: str | None = None) -> bool:
        """Follow a name of a module with the attributes asked of it; whether the module has it."""
        if (asked := (module.name, chain, literal)) in self._asked:
            return True
        name, known = chain[0], False
        if name in module.definitions:
            known = True
            self._reach(module, name)
            if f"{module.name}.{name}" in _READ_TEMPLATES:
                self._data.update(self._tree.templates(literal))
        for target in module.aliases.get(name, ()):
            known = True
            self._asked.add(asked)
            self._stands_for.add(f"{module.name} {name} = {target}")
            self._follow(".".join((target, *chain[1:])), literal)
        if not known:
            known = name in module.top_names or self._refer_to_stars(module, chain, literal)
        if not known and name in _IMPORT_BY_NAME and literal:
            self._follow(literal, None)
        return known

    def _refer_to_stars(self, module: Module, chain: Chain, literal: str | None) -> bool:
        stars = [self._module(star) for star in module.stars if star not in INFRASTRUCTURE]
        known = [self._refer(star, chain, literal) for star in stars if star and star is not module]
        return any(known)

    def _follow(self, dotted: str, literal: str | None) -> None:
        """Follow `package.module.name.attribute`, of which any part may be the last."""
        parts = dotted.split(".")
        module = self._module(parts[0])
        if module is None:
            if dotted in _IMPORT_BY_NAME and literal:
                self._enter(literal)
                self._follow(literal, None)
            return
        rest = parts[1:]
        while rest and (below := self._module(f"{module.name}.{rest[0]}")):
            if rest[0] in {*module.definitions, *module.aliases}:
                self._refer(module, tuple(rest), literal)
            module, rest = below, rest[1:]
        self._enter(module.name)
        if module.name in INFRASTRUCTURE:
            return
        if not rest:
            self._take_whole(module)
        elif rest[0] == "__file__":
            self._data.update(self._tree.data_beside(module))
        elif not self._refer(module, tuple(rest), literal) and rest[0] not in ("__doc__", "__name__"):
            self._take_unknown(module)

    def _take_unknown(self, module: Module) -> None:
        """A name that a module does not state: made by its `__getattr__`, or somewhere in it."""
        if "__getattr__" in module.definitions:
            self._reach(module, "__getattr__")
        else:
            self._take_whole(module)

    def _take_whole(self, module: Module) -> None:
        """All of a module, with what it imports from others by name; of a package, all its modules."""
        if module.name in self._whole or module.name in INFRASTRUCTURE:
            return
        self._whole.add(module.name)
        for name in module.definitions:
            self._reach(module, name)
        is_script = module.name.startswith("scripts/")
        for name, targets in () if is_script else module.aliases.items():
            if not any(self._module(target) for target in targets):
                self._refer(module, (name,))
        for name in self._tree.modules_below(module) if module.is_package else ():
            self._enter(name)
            self._take_whole(self._module(name))


@cache
def _prefixes(dotted: str) -> list[str]:
    """'a', 'a.b' and 'a.b.c' of 'a.b.c'."""
    parts = dotted.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
