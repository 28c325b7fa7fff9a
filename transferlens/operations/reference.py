"""The reference of all keys, the schema of the configuration, and the table of results, as declared.

`python -m transferlens.operations.reference` writes them: docs/configuration.md,
workflow/schemas/config.schema.yaml, and the part of docs/results.md between its two markers.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import yaml

from transferlens.capabilities import CAPABILITIES
from transferlens.core import limits
from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Capability, Step
from transferlens.core.configuration import configuration_of
from transferlens.core.files import replace_file
from transferlens.results import Results

REPOSITORY = Path(__file__).resolve().parents[2]
_MARKERS = ("<!-- results: written by transferlens.operations.reference -->", "<!-- end of results -->")
_WIDTH = 120
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
    "minLength": "not empty",
    "pattern": "`{}`",
}
# Said once, at the top of the page.
_EVERYWHERE = (f"at least -{limits.LARGEST}", f"at most {limits.LARGEST}")
_PLURAL = {"integer": "integers", "number": "numbers", "string": "strings"}


def schema(capabilities: list[Capability]) -> dict[str, Any]:
    """The JSON schema of the whole configuration; recipes by kind."""
    made = configuration_of(capabilities).model_json_schema()
    definitions = made.setdefault("$defs", {})
    kinds = {k: kind for c in capabilities for k, kind in c.recipe_kinds.items()}
    for section in dict.fromkeys(kind.settings for kind in kinds.values()):
        of_kind = section.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= of_kind.pop("$defs", {})
        definitions[section.__name__] = of_kind
    names = dict.fromkeys(kind.settings.__name__ for kind in kinds.values())
    any_kind = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}
    recipes = made["properties"]["recipes"]
    recipes["patternProperties"] = dict.fromkeys(recipes["patternProperties"], any_kind)
    for name, section in {**definitions, "Configuration": made}.items():
        for key, field in section.get("properties", {}).items():
            _limit(name.rpartition("__")[2], key, field)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _limit(section: str, key: str, field: dict[str, Any]) -> None:
    """Add to a key's schema what `core.limits` refuses of its numbers, and of those that it holds."""
    inner = [*field.get("anyOf", []), *(field.get("patternProperties") or {}).values()]
    inner += [field[name] for name in ("items", "additionalProperties") if isinstance(field.get(name), dict)]
    for part in inner:
        _limit(section, key, part)
    if field.get("type") not in ("integer", "number"):
        return
    limit = limits.limit_of(section, key, whole=field["type"] == "integer")
    if limit.low > field.get("minimum", field.get("exclusiveMinimum", -math.inf)):
        field["minimum"] = limit.low
    if limit.high < field.get("maximum", field.get("exclusiveMaximum", math.inf)):
        field["maximum"] = limit.high
    for bound in ("Minimum", "Maximum"):
        if bound.lower() in field:
            field.pop(f"exclusive{bound}", None)


def schema_file(capabilities: list[Capability]) -> str:
    """The schema as YAML."""
    text = yaml.safe_dump(schema(capabilities), sort_keys=False, width=_WIDTH, allow_unicode=True)
    return f"# Written by `python -m transferlens.operations.reference`; editors can check by it.\n{text}"


def keys_page(capabilities: list[Capability]) -> str:
    """Every key: its type and bounds, its default, and one sentence."""
    whole = schema(capabilities)
    lines = [
        "# Every key of the configuration",
        "",
        "Written by `python -m transferlens.operations.reference`. Unknown keys, wrong types and impossible",
        "values are refused before anything runs, in one line that names the nearest known key. Where no",
        f"more is said, numbers are at most {limits.LARGEST:,}; no number but 0 is nearer to 0 than",
        f"{limits.NEAREST_TO_ZERO}, and no text is empty.",
        "",
        *_section("", whole, whole["$defs"], {}),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _section(
    name: str, declared: Mapping[str, Any], known: Mapping[str, Any], told: dict[str, str]
) -> Iterator[str]:
    """A table of the keys of a section that are values, then its sections.

    Args:
        told: where each class of sections was told; it is told once.
    """
    inner = {key: _inside(field, known) for key, field in declared["properties"].items()}
    required = declared.get("required", ())
    if name:
        yield f"## `{name}`"
        yield from [_one_line(declared.get("description", "")), ""]
        if (elsewhere := told.setdefault(declared["title"], name)) != name:
            yield from [f"Keys as of `{elsewhere}`.", ""]
            return
    values = [key for key, sections in inner.items() if not sections]
    if values:
        yield from ["| key | type | default | |", "|---|---|---|---|"]
        yield from (_row(key, declared["properties"][key], key in required, known) for key in values)
        yield ""
    for key, sections in inner.items():
        path = f"{name}.{key}" if name else key
        for suffix, section in sections:
            own = declared["properties"][key].get("description")
            words = {"description": own} if own and not suffix else {}
            yield from _section(path + suffix, {**section, **words}, known, told)


def _inside(field: Mapping[str, Any], known: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The sections that a key holds: itself, or one for each name or kind of what it maps."""
    for part in _alternatives(field):
        section = _resolved(part, known)
        if "properties" in section:
            return [("", section)]
        named = section.get("patternProperties") or {}
        for mapped in named.values():
            kinds = [_resolved(kind, known) for kind in _alternatives(mapped)]
            if all("properties" in kind for kind in kinds):
                return [(f".<name>{_of_kind(kind)}", kind) for kind in kinds]
    return []


def _of_kind(section: Mapping[str, Any]) -> str:
    """The kinds of recipe that a section is of, where it is one."""
    kind = section["properties"].get("kind", {})
    values = kind.get("enum") or ([kind["const"]] if "const" in kind else [])
    return f" (kind {', '.join(values)})" if values else ""


def _alternatives(field: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return field.get("anyOf") or field.get("allOf") or [field]


def _resolved(part: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    return known[part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def _row(key: str, field: Mapping[str, Any], required: bool, known: Mapping[str, Any]) -> str:
    """A key that is a value."""
    default = "required" if required else _code(field.get("default"))
    cells = [f"`{key}`", _type(field, known), default, _one_line(field.get("description", ""))]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(field: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """The type of a value in words, with its bounds."""
    return " or ".join(_plain_type(_resolved(part, known), known) for part in _alternatives(field))


def _plain_type(field: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "enum" in field or "const" in field:
        return ", ".join(_code(value) for value in field.get("enum", [field.get("const")]))
    kind = field.get("type", "anything")
    bounds = [words.format(field[key]) for key, words in _BOUNDS.items() if key in field]
    bounds = [words for words in bounds if words not in _EVERYWHERE]
    if kind != "array":
        return ", ".join([kind, *bounds])
    items, *of_item = _type(field.get("items", {}), known).split(", ", 1)
    kind = _PLURAL.get(items, ", ".join([items, *of_item]))
    each = [f"each {bounds}" for bounds in of_item if items in _PLURAL]
    low, high = field.get("minItems", 0), field.get("maxItems")
    number = f"{low} " if low == high else "list of " if not low else f"list of {low} or more "
    return ", ".join([number + kind, *each])


def _code(value: Any) -> str:
    """A value as YAML writes it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    return f"`{text}`"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def results_table(capabilities: list[Capability]) -> str:
    """What a results folder holds: a row for each kind of artefact."""
    rows = ["| in `results/` | what | `results.` |", "|---|---|---|"]
    for capability in capabilities:
        for step in capability.steps:
            rows += [_result(step, made) for made in step.artefacts]
    return "\n".join(dict.fromkeys(rows))


def _result(step: Step, made: Artefact) -> str:
    """A row of that table; tables and pictures of the same name are told with it."""
    place = made.path.removesuffix(".h5")
    others = [output.path.removeprefix(place) for output in step.outputs.values() if output is not made]
    more = [suffix for suffix in others if suffix.startswith(".")]
    shown = made.path.replace("{", "<").replace("}", ">")
    words = made.kind + (f", and as {', '.join(f'`{suffix}`' for suffix in more)}" if more else "")
    return f"| `{shown}` | {words} | `{made.method}({', '.join(_arguments(made))})` |"


def _arguments(made: Artefact) -> list[str]:
    """What the read API asks for: the wildcards, but for methods that join several files."""
    if made.method not in vars(Results):
        return made.wildcards
    parameters = signature(getattr(Results, made.method)).parameters.values()
    return [p.name for p in parameters if p.name != "self" and p.default is Parameter.empty]


def results_page(capabilities: list[Capability], text: str) -> str:
    """docs/results.md with the table of results between its markers."""
    start, end = _MARKERS
    before, rest = text.split(start)
    return f"{before}{start}\n{results_table(capabilities)}\n{end}{rest.split(end)[1]}"


def written(capabilities: list[Capability]) -> Mapping[Path, str]:
    """Every generated file, by path."""
    page = REPOSITORY / "docs/results.md"
    made: dict[str, Callable[[list[Capability]], str]] = {
        "docs/configuration.md": keys_page,
        "workflow/schemas/config.schema.yaml": schema_file,
    }
    files = {REPOSITORY / path: make(capabilities) for path, make in made.items()}
    return {**files, page: results_page(capabilities, page.read_text(encoding="utf-8"))}


if __name__ == "__main__":
    for path, text in written(CAPABILITIES).items():
        with replace_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
