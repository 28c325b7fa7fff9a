"""Configurations: spoiled along the schema, as text and on the command line; planned as Snakemake plans."""

import contextlib
import copy
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import yaml

from fuzzing import written
from fuzzing.cases import Case, Group, import_all, judged, tried
from fuzzing.children import NotMade, Report
from fuzzing.outcomes import HARMLESS, Outcome, of_exception
from fuzzing.spoiling import odd_value

REPOSITORY = Path(__file__).resolve().parents[2]
_JOBS_COMPOSED = 40  # of each step, at most
_OWN_WORDS = "Snakemake's own words"
# Values that stand for others, which the run then holds in words.
_IN_WORDS = {"architecture.name", "architecture.file"}


@dataclass
class Given:
    """A configuration on its way.

    Attributes:
        document: as parsed.
        entries: of `--config`.
        texts: what becomes of its text, and then of its bytes, in this order.
        things: what was touched.
    """

    document: Any
    entries: list[str] = field(default_factory=list)
    texts: list[tuple[str, Random]] = field(default_factory=list)
    things: list[str] = field(default_factory=list)


class Configurations(Group):
    """What a user writes into config.yaml and on the command line."""

    name = "config"

    def __init__(self):
        parsed = {
            step.__name__: step
            for step in (
                *(_set_by_schema, _set_by_schema_rightly, _set_what_is_there, _drop, _misspell, _add, _move),
                *(_change_a_list, _rename, _on_the_command_line),
            )
        }
        texts = {name: _of_text(name) for name in (*written.TEXTS, *written.RAW)}
        self.steps = {**parsed, **texts}

    def prepare(self, folder: Path) -> None:
        """Import what planning does, parse the code, and keep the configurations that are sound."""
        from transferlens.capabilities import CAPABILITIES
        from transferlens.core.configuration import configuration_of, merged

        import_all("torch", "snakemake.cli", "scipy.stats", "transferlens.operations.networks")
        path = REPOSITORY / "workflow/rules/config.smk"
        text = re.sub(r"^configfile: (.+)$", r"workflow.configfile(\1)", path.read_text(), flags=re.MULTILINE)
        self._planning = compile(text, str(path), "exec")
        base = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
        smoke = yaml.safe_load((REPOSITORY / "configs/smoke.yaml").read_text())
        self.bases = [base, merged(base, smoke), _WIDE]
        schema = configuration_of(CAPABILITIES).model_json_schema()
        self.places = list(_places(schema, schema, ()))
        for document in self.bases:
            (folder / "config.yaml").write_text(yaml.safe_dump(document))
            with contextlib.chdir(folder):
                _compose(self._planned([folder / "config.yaml"], [], main=True))
        self.known = sorted({part for path, _ in self.places for part in path if part != "*"})

    def play(self, case: Case, report: Report) -> None:
        """Write, spoil, plan, and compare the run with what is written."""
        given = Given(copy.deepcopy(case.random.choice(self.bases)))
        for step in case.steps(list(self.steps)):
            self.steps[step.name](self, given, step.random)
        try:
            data = _bytes_of(given, case.random)
        except (yaml.YAMLError, ValueError, TypeError) as error:
            raise NotMade from error
        path = Path("config.yaml")
        path.write_bytes(data)
        things = [*given.things, *self.known, "config.yaml", *_names(given.document)]
        main = case.random.random() < 0.1
        run = self._plan(report, [path.absolute()], given.entries, main, things)
        if run is None:
            return
        wrong = _taken_otherwise(data, given.entries, run.as_given())
        if not given.texts:
            wrong += self._other_spelling(given, case.random, run)
        judged(report, "plan", wrong)
        report.begin("compose")
        if tried(report, "compose", lambda: _compose(run), things).accepted:
            report.add(Outcome("compose", HARMLESS))

    def _plan(
        self, report: Report, files: list[Path], entries: list[str], main: bool, things: list[str]
    ) -> Any:
        """The run; None where the configuration was refused."""
        from snakemake_interface_common.exceptions import WorkflowError

        report.begin("plan")
        try:
            given = _snakemake_settings(files, entries)
        except SystemExit as end:
            report.add(of_exception("plan", end, [*things, "--config"]))
            return None
        except (WorkflowError, ValueError, AssertionError, RecursionError) as error:
            report.add(Outcome("plan", _OWN_WORDS, str(error)[:200]))
            return None
        return tried(report, "plan", lambda: self._planned(files, entries, main, given), things).value

    def _planned(self, files: list[Path], entries: list[str], main: bool, settings: Any = None) -> Any:
        """The run, by the code that Snakemake runs; SystemExit with its words where it is refused."""
        from snakemake.common.configfile import load_configfile
        from snakemake.utils import update_config

        settings, config = settings or _snakemake_settings(files, entries), {}

        def configfile(path: str) -> None:
            update_config(config, load_configfile(path))
            update_config(config, settings.overwrite_config)

        workflow = SimpleNamespace(
            configfile=configfile,
            configfiles=files,
            config_settings=settings,
            current_basedir=SimpleNamespace(
                get_path_or_uri=lambda secret_free: str(REPOSITORY / "workflow/rules")
            ),
            is_main_process=main,
            modifier=SimpleNamespace(is_main_snakefile=lambda: True),
            output_settings=SimpleNamespace(quiet=(), dryrun=True),
        )
        sys.argv = ["snakemake"]
        place = {"workflow": workflow, "config": config, "__name__": "config.smk"}
        exec(self._planning, place)
        return place["RUN"]

    def _other_spelling(self, given: Given, random: Random, run: Any) -> list[str]:
        """Whether the same document, written in another style, gives another run."""
        path = Path("other.yaml")
        path.write_text(written.rendered(given.document, random))
        try:
            other = self._planned([path.absolute()], given.entries, main=False)
        except SystemExit as end:
            return [f"in another style it is refused: {end.code}"]
        return [] if other.as_json() == run.as_json() else ["in another style it is another run"]


def _snakemake_settings(files: list[Path], entries: list[str]) -> Any:
    """What Snakemake makes of its command line, from `--configfile` and `--config`."""
    from snakemake.cli import parse_config
    from snakemake.settings.types import ConfigSettings

    from transferlens.core import written as checks

    checks.refuse_unreadable(files, entries)  # as profiles/default has it done
    return ConfigSettings(config=parse_config(entries), configfiles=files)


def _compose(run: Any) -> None:
    """The inputs, settings, code and command of the run's jobs, and the run from its own words again."""
    from transferlens.capabilities import run_of

    for name, step in run.steps.items():
        for wildcards in list(run.jobs_of(name))[:_JOBS_COMPOSED]:
            outputs = {key: made.at(**wildcards) for key, made in step.outputs.items()}
            run.command(name, wildcards, run.inputs(name, wildcards), outputs)
            run.code_of(name, wildcards)
    run.constraints()
    if run_of(json.loads(run.as_json())).as_json() != run.as_json():
        raise AssertionError("the run's own words give another run")


def _bytes_of(given: Given, random: Random) -> bytes:
    """The text that is written, spoiled."""
    text = written.rendered(given.document, random)
    for name, own in given.texts:
        if name in written.TEXTS:
            text = written.TEXTS[name](text, own)
    data = text.encode("utf-8", "surrogatepass")
    for name, own in given.texts:
        if name in written.RAW:
            data = written.RAW[name](data, own)
    return data


def _taken_otherwise(data: bytes, entries: list[str], found: Mapping[str, Any]) -> list[str]:
    """Where the run is not what is written in the file; what the command line overrides is not looked at."""
    try:
        said = written.read_strictly(data)
    except written.Unreadable:
        return []
    if not isinstance(said, written.Pairs):
        return ["a file that holds no mapping was taken"]
    over = {entry.partition("=")[0] for entry in entries}
    kept = written.Pairs(tuple(item for item in said.items if item[0] not in over))
    wrong = written.differences(kept, dict(found))
    return [words for words in wrong if not any(words.startswith(f"'{place}': None") for place in _IN_WORDS)]


def _names(document: Any) -> list[str]:
    """Every key and every text in a document."""
    if isinstance(document, Mapping):
        return [name for key, value in document.items() for name in (str(key), *_names(value)) if name]
    if isinstance(document, list):
        return [name for value in document for name in _names(value)]
    return [str(document)] if str(document).strip() else []


# Places of the schema


def _places(
    schema: Mapping, node: Mapping, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping]]:
    """(path, what may stand there) of every key; '*' is any name."""
    node = _resolved(schema, node)
    for key, inner in node.get("properties", {}).items():
        yield (*path, key), _resolved(schema, inner)
        yield from _places(schema, inner, (*path, key))
    if isinstance(inner := node.get("additionalProperties"), Mapping):
        yield from _places(schema, inner, (*path, "*"))
    patterns = node.get("patternProperties", {})
    for inner in patterns.values():
        yield from _places(schema, inner, (*path, "*"))


def _resolved(schema: Mapping, node: Mapping) -> Mapping:
    """A node without references and without `| null`."""
    if "$ref" in node:
        return _resolved(schema, schema["$defs"][node["$ref"].rpartition("/")[2]])
    for inner in node.get("anyOf", ()):
        if inner.get("type") != "null":
            return {**_resolved(schema, inner), "nullable": True}
    return node


def _right_value(node: Mapping, random: Random) -> Any:
    """A value that may stand there, often at a bound."""
    if "enum" in node:
        return random.choice(node["enum"])
    kind = node.get("type")
    if node.get("nullable") and random.random() < 0.2:
        return None
    if kind == "boolean":
        return random.random() < 0.5
    if kind in ("integer", "number"):
        low = node.get("minimum", node.get("exclusiveMinimum", 0))
        high = node.get(
            "maximum", node.get("exclusiveMaximum", random.choice((low + 1, low + 100, 10**7, 2**62)))
        )
        values = [low, high, low + (high - low) * random.random(), low + 1, low + 8]
        value = random.choice(values)
        return int(value) if kind == "integer" else float(value)
    if kind == "array":
        count = random.choice((node.get("minItems", 0), node.get("maxItems", 3)))
        return [_right_value(node.get("items", {}), random) for _ in range(count)]
    if kind == "object":
        return {}
    return random.choice(("fixed", "full", "optdigits", "digit 1", "margin", "resnet18", "block3", "data"))


# Steps on the parsed document


def _put(given: Given, path: tuple[str, ...], value: Any, random: Random) -> None:
    """Set a place, making what leads to it; '*' is one of the names that are there."""
    place = given.document
    for i, part in enumerate(path):
        if not isinstance(place, dict):
            return
        if part == "*":
            part = random.choice(list(place) or ["fixed"])
        given.things.append(str(part))
        if i == len(path) - 1:
            place[part] = value
            return
        if not isinstance(place.get(part), dict):
            place[part] = {}
        place = place[part]


def _set_by_schema(group: Configurations, given: Given, random: Random) -> None:
    path, _ = random.choice(group.places)
    _put(given, path, odd_value(random), random)


def _set_by_schema_rightly(group: Configurations, given: Given, random: Random) -> None:
    for _ in range(random.choice((1, 1, 3))):
        path, node = random.choice(group.places)
        _put(given, path, _right_value(node, random), random)


def _containers(document: Any) -> list[Any]:
    """Every mapping and list in a document, itself among them."""
    if isinstance(document, dict):
        return [document, *(inner for value in document.values() for inner in _containers(value))]
    if isinstance(document, list):
        return [document, *(inner for value in document for inner in _containers(value))]
    return []


def _a_key(given: Given, random: Random) -> tuple[dict, Any]:
    """A mapping of the document, and a key of it."""
    mapping = random.choice([c for c in _containers(given.document) if isinstance(c, dict) and c])
    key = random.choice(list(mapping))
    given.things.append(str(key))
    return mapping, key


def _set_what_is_there(group: Configurations, given: Given, random: Random) -> None:
    mapping, key = _a_key(given, random)
    mapping[key] = odd_value(random)


def _drop(group: Configurations, given: Given, random: Random) -> None:
    mapping, key = _a_key(given, random)
    del mapping[key]


def _misspell(group: Configurations, given: Given, random: Random) -> None:
    mapping, key = _a_key(given, random)
    text = str(key)
    place = random.randrange(len(text) or 1)
    other = random.choice(
        (text[:place] + text[place + 1 :], text.upper(), text + "s", text + " ", f" {text}")
    )
    mapping[other] = mapping.pop(key)


def _rename(group: Configurations, given: Given, random: Random) -> None:
    mapping, key = _a_key(given, random)
    mapping[
        random.choice(("a b", "", "x/y", "..", "a@5", "a+b", "é", "\x1b[2J", "a" * 200, "*", "source"))
    ] = mapping.pop(key)


def _add(group: Configurations, given: Given, random: Random) -> None:
    mapping, _ = _a_key(given, random)
    mapping[random.choice(group.known)] = odd_value(random)


def _move(group: Configurations, given: Given, random: Random) -> None:
    mapping, key = _a_key(given, random)
    value = mapping.pop(key)
    other, _ = _a_key(given, random) if any(c for c in _containers(given.document) if c) else (mapping, key)
    other[key] = value


def _change_a_list(group: Configurations, given: Given, random: Random) -> None:
    lists = [c for c in _containers(given.document) if isinstance(c, list)]
    if not lists:
        return
    chosen = random.choice(lists)
    kind = random.choice(("more", "twice", "none", "fewer", "other"))
    if kind == "more":
        chosen.append(odd_value(random))
    elif kind == "twice":
        chosen += list(chosen)
    elif kind == "none":
        chosen.clear()
    elif chosen and kind == "fewer":
        chosen.pop()
    elif chosen:
        chosen[random.randrange(len(chosen))] = odd_value(random)


def _on_the_command_line(group: Configurations, given: Given, random: Random) -> None:
    """A `--config` entry, rightly or wrongly spelled."""
    path, node = random.choice(group.places)
    value = _right_value(node, random) if random.random() < 0.5 else odd_value(random)
    names = ["optdigits" if part == "*" else part for part in path]
    given.things += names
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).strip().removesuffix("...").strip()
    for part in reversed(names[1:]):
        text = f"{{{part}: {text}}}"
    entry = f"{names[0]}={text}"
    odd = (
        "seed",
        "seed=",
        "=3",
        "a.b=3",
        "1=2",
        "seed=[",
        "seed={a: &x {b: *x}}",
        "source_training.lr=1",
        "seed==3",
    )
    given.entries.append(random.choice(odd) if random.random() < 0.15 else entry)


def _of_text(name: str) -> Any:
    def note(group: Configurations, given: Given, random: Random) -> None:
        given.texts.append((name, random))

    return note


# Every section, so that mutations of what is there meet all of them.
_WIDE = {
    "seed": 3,
    "source": "digits-and-clothes",
    "targets": {
        "optdigits": {"recipes": ["fixed", "full"], "sizes": [2, 5], "overrides": {"training": {"lr": 0.1}}}
    },
    "datasets": {
        "digits-and-clothes": {"train_per_class": 50, "val_per_class": 20},
        "optdigits": {"val_per_class": 20},
    },
    "input": {"resolution": 28, "crop_ratio": 1.0, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    "architecture": {"name": "small_resnet", "width": 8},
    "source_training": {"epochs": 4, "batch_size": 64, "lr": 0.1, "lr_peak_epoch": 1, "crop": "translate"},
    "recipes": {
        "fixed": {"kind": "fixed", "training": {"epochs": 4, "lr": 0.1, "lr_peak_epoch": 1}},
        "full": {"kind": "full", "training": {"epochs": 4, "batch_size": 20, "lr": 0.02, "lr_peak_epoch": 1}},
    },
    "studies": {"reference": {"repeats": 4, "shard_size": 4}, "influence": {"models": 64, "shard_size": 32}},
    "report": {"title": "Wide", "output": "margin", "top_classes": 4},
}
