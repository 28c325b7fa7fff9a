"""What a fingerprint notices and what it does not, in a copy of this project and in small packages."""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

from transferlens.core import fingerprint
from transferlens.core.fingerprint import INFRASTRUCTURE, WHOLE, Tree

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("reached.txt")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of this project's code."""
    root = tmp_path_factory.mktemp("project")
    for part in ("transferlens", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / part, root / part, ignore=ignored)
    return Tree(root)


@pytest.fixture(scope="module")
def before(project):
    return fingerprints(project)


def fingerprints(tree):
    return {script: tree.fingerprint(script) for script in tree.scripts()}


@contextmanager
def edited(path, old, new):
    """A file with one place changed, for the while."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{path.name} has no {old!r}: give the test another place"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def changed(project, before):
    now = fingerprints(project)
    return {script for script in now if now[script] != before[script]}


def reaching(project, entry):
    return {script for script in project.scripts() if project.follow(script).reaches(entry)}


def test_a_copy_elsewhere_has_the_same_fingerprints(before):
    assert before == fingerprints(Tree(REPOSITORY))
    assert len(set(before.values())) == len(before)


WORDS_ONLY = {
    "comment": ("core/statistics.py", "import numpy as np\n", "import numpy as np  # arrays\n"),
    "docstring": ("core/seeding.py", '"""A 63-bit seed', '"""Another sentence. A 63-bit seed'),
    "module's docstring": ("core/seeding.py", '"""Seeds as', '"""Really: seeds as'),
    "formatting": (
        "core/statistics.py",
        "return Interval(value, value - reach, value + reach)",
        "return (\n        Interval(\n            value, (value - reach), value + reach\n        )\n    )",
    ),
    "quotes": ("data/composites.py", 'placement == "random"', "placement == 'random'"),
    "help": ("../scripts/propose_overlap.py", 'help="one for each', 'help="one of each'),
    "infrastructure": ("core/job.py", "_SECONDS_BETWEEN_LINES = 10", "_SECONDS_BETWEEN_LINES = 5"),
}


@pytest.mark.parametrize("change", WORDS_ONLY)
def test_what_decides_nothing_is_not_noticed(project, before, change):
    file, old, new = WORDS_ONLY[change]
    with edited(project.root / "transferlens" / file, old, new):
        assert changed(project, before) == set()


ARITHMETIC = [  # file, what is changed, the definition it is in, scripts that use it, scripts that do not
    (
        "core/statistics.py",
        ("scipy.stats.t.ppf((1 + confidence) / 2, df)", "scipy.stats.t.ppf(confidence, df)"),
        "transferlens.core.statistics:t_interval",
        {"estimate_influence.py", "evaluate_counterfactual.py", "score_heatmaps.py"},
        {"transfer.py", "train_source.py", "prepare_dataset.py", "make_composites.py"},
    ),
    (
        "core/seeding.py",
        ('"big") >> 1', '"big") >> 2'),
        "transferlens.core.seeding:seed_for",
        {"train_source.py", "transfer.py", "prepare_dataset.py"},
        {"draw_masks.py", "write_gallery.py", "compress_summary.py", "write_report.py"},
    ),
    (
        "training/device.py",
        ("_cpu_has_bfloat16() else torch.float32", "_cpu_has_bfloat16() else torch.float64"),
        "transferlens.training.device:precision",
        {"train_source.py", "transfer.py"},
        {"score_heatmaps.py", "map_labels.py", "estimate_influence.py"},  # the first two use its `pick`
    ),
    (
        "data/composites.py",
        ("round(share * resolution)", "int(share * resolution)"),
        "transferlens.data.composites:pasted_side",
        {"make_composites.py"},
        {"transfer.py", "score_heatmaps.py", "prepare_dataset.py", "estimate_influence.py"},
    ),
    (
        "maps/evidence.py",
        ("return within / torch", "return 2 * within / torch"),
        "transferlens.maps.evidence:inside_share",
        {"make_composites.py"},
        {"transfer.py", "map_labels.py", "prepare_dataset.py"},
    ),
    (
        "pictures/overlays.py",
        ("_IMAGE_WEIGHT = 0.6", "_IMAGE_WEIGHT = 0.5"),
        "transferlens.pictures.overlays:published",
        {"draw_heatmaps.py"},
        {"transfer.py", "estimate_influence.py", "compress_summary.py"},
    ),
]


@pytest.mark.parametrize(
    ("file", "change", "entry", "users", "others"), ARITHMETIC, ids=[file for file, *_ in ARITHMETIC]
)
def test_arithmetic_is_noticed_by_those_that_use_it(project, before, file, change, entry, users, others):
    expected = reaching(project, entry)
    with edited(project.root / "transferlens" / file, *change):
        noticed = changed(project, before)
    assert noticed == expected
    assert users <= noticed
    assert not others & noticed


def test_a_new_function_nobody_calls_is_not_noticed(project, before):
    with edited(
        project.root / "transferlens/core/seeding.py", "def rng_for", "def new():\n    1\n\n\ndef rng_for"
    ):
        assert changed(project, before) == set()


def test_a_sibling_in_a_reached_module_is_not_noticed(project, before):
    module = "transferlens.core.statistics"
    assert module in project.reached("estimate_influence.py").definitions
    with edited(project.root / "transferlens/core/statistics.py", "below / 2", "below / 3"):
        noticed = changed(project, before)
    assert noticed == reaching(project, f"{module}:roc_area")
    assert "estimate_influence.py" not in noticed


@pytest.mark.parametrize("file", ["catalogue.yaml", "classes/food101.tsv"])
def test_data_that_decide_are_noticed(project, before, file):
    path = project.root / "transferlens/data" / file
    with edited(path, path.read_text(encoding="utf-8")[-8:], "changed\n"):
        noticed = changed(project, before)
    assert {"prepare_dataset.py", "write_beton.py"} <= noticed
    assert not {"transfer.py", "train_source.py", "estimate_influence.py"} & noticed


def test_templates_are_noticed_by_their_pages(project, before):
    with edited(project.root / "transferlens/memories/gallery/gallery.js", ";", ";;"):
        assert changed(project, before) == {"write_gallery.py"}


def test_an_entry_point_adds_to_a_script(project, before):
    more = "transferlens.core.statistics:q_values"
    with_more = project.fingerprint("transfer.py", more)
    assert with_more != before["transfer.py"]
    with edited(project.root / "transferlens/core/statistics.py", "np.full(p.shape", "np.full(2 * p.shape"):
        assert project.fingerprint("transfer.py", more) != with_more
        assert project.fingerprint("transfer.py") == before["transfer.py"]
    assert fingerprint.reaches("transfer.py", more, name=more)
    assert not fingerprint.reaches("transfer.py", name=more)


@pytest.mark.parametrize("wrong", ["transferlens.nothing", "transferlens.core.seeding:nothing", "numpy:mean"])
def test_unknown_entry_points_are_refused(project, wrong):
    with pytest.raises(ValueError, match=wrong):
        project.fingerprint("transfer.py", wrong)
    with pytest.raises(ValueError, match=wrong):
        project.follow("transfer.py").reaches(wrong)
    with pytest.raises(ValueError, match=r"nothing\.py"):
        project.fingerprint("nothing.py")
    with pytest.raises(ValueError, match="infrastructure"):
        project.follow("transfer.py").reaches("transferlens.core.job:run")


def test_which_jobs_train_and_which_import_torch():
    assert fingerprint.reaches("transfer.py")
    assert fingerprint.reaches("train_source.py")
    assert not fingerprint.reaches("estimate_influence.py")
    assert "torch" in fingerprint.reached("transfer.py").packages
    assert "torch" not in fingerprint.reached("estimate_influence.py").packages
    assert fingerprint.fingerprint("transfer.py") == Tree(REPOSITORY).fingerprint("transfer.py")
    assert re.fullmatch("code:[0-9a-f]{16}", fingerprint.fingerprint("transfer.py"))


TRACED = """
import inspect, json, os, runpy, sys

code = set()
sys.setprofile(lambda frame, event, _: code.add(frame.f_code) if event == "call" else None)
out = sys.argv.pop(1)


def save():
    sys.setprofile(None)
    with open(out, "w") as file:
        functions = [c for c in code if c.co_flags & inspect.CO_OPTIMIZED]  # no bodies of classes
        json.dump([(c.co_filename, c.co_qualname) for c in functions], file)


os._exit = lambda status: save()  # a job ends by this, at once
sys.argv.pop(0)
sys.path.insert(0, "scripts")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_all_that_really_runs_is_reached(project, tmp_path):
    """The script that indexes the built-in digits, run with every call recorded."""
    pytest.importorskip("sklearn")
    settings = {"path": None, "groups": None, "train_per_class": 20, "val_per_class": 10}
    settings |= {"select_fraction": 0.5, "unreadable": "error"}
    of_script = json.dumps({"name": "optdigits", "seed": 0, "dataset": settings})
    command = [sys.executable, "-c", TRACED, str(tmp_path / "calls.json"), "scripts/prepare_dataset.py"]
    command += ["--settings", of_script, "--index", str(tmp_path / "index.h5"), "--data-root", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(project.root)}
    done = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True)
    assert (tmp_path / "index.h5").exists(), done.stderr
    ran = set()
    for file, name in json.loads((tmp_path / "calls.json").read_text()):
        path = Path(project.root, file)
        if path.is_relative_to(project.root / "transferlens") and not name.startswith("<"):
            module = ".".join(path.relative_to(project.root).with_suffix("").parts)
            ran |= {(module, name.split(".")[0])} if module not in INFRASTRUCTURE else set()
    made = project.follow("prepare_dataset.py")
    assert len(ran) > 10
    assert [f"{m}:{n}" for m, n in sorted(ran) if not made.reaches(f"{m}:{n}")] == []


def test_golden():
    """What each script reaches; that it grows shall be seen in review."""
    text = "".join(golden_lines(Tree(REPOSITORY)))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    golden = GOLDEN.read_text(encoding="utf-8") if GOLDEN.exists() else ""
    lines = (part.splitlines() for part in (golden, text))
    difference = "\n".join(difflib.unified_diff(*lines, "reached.txt", "now", n=0, lineterm=""))
    renew = "if this is meant: UPDATE_GOLDEN=1 pytest tests/core/test_fingerprint.py -k golden"
    assert not difference, f"scripts reach other code than before; {renew}\n{difference}"


def golden_lines(tree):
    for script in tree.scripts():
        made = tree.reached(script)
        for module, names in made.definitions.items():
            if not module.startswith("scripts/"):
                yield f"{script}: {module}: {' '.join([names] if names == WHOLE else names)}\n"
        for what in ("data_files", "packages"):
            if listed := sorted(getattr(made, what)):
                yield f"{script}: ({what.replace('_', ' ')}): {' '.join(listed)}\n"


# Corner cases, in packages of a few lines.


@pytest.fixture
def small(tmp_path):
    """Makes a package from texts by path within it; `s` is the script."""

    def make(s, **modules):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        (tmp_path / "scripts/s.py").write_text(textwrap.dedent(s))
        for path, text in {"__init__.py": "", **modules}.items():
            file = tmp_path / "transferlens" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        return Tree(tmp_path)

    return make


def names(tree, module):
    return tree.reached("s.py").definitions.get(f"transferlens.{module}", ())


TWO = "def f():\n    return 1\n\n\ndef g():\n    return 2\n"


@pytest.mark.parametrize(
    ("script", "reached"),
    [
        ("from transferlens import a\na.f()", ("f",)),
        ("from transferlens import a as b\nb.f()", ("f",)),
        ("from transferlens.a import f", ()),
        ("from transferlens.a import f as h\nh()", ("f",)),
        ("import transferlens.a\ntransferlens.a.f()", ("f",)),
        ("import transferlens.a as b\nb.f()", ("f",)),
        ("def main():\n    from transferlens.a import f\n    f()", ("f",)),
        ("def main():\n    from transferlens import a\n    return lambda: a.g()", ("g",)),
        ("class C:\n    def m(self):\n        import transferlens.a as b\n        b.f()", ("f",)),
        ("class C:\n    from transferlens.a import f", ("f",)),
        ("from transferlens import a\ngetattr(a, 'g')()", ("g",)),
        ("from transferlens import a\nx: 'a.f'", ("f",)),
        ("from transferlens import a\ndef h(x: 'a.f') -> 'a.g': ...", ("f", "g")),
        ("from transferlens import a\na.f = 3", ("f",)),
        ("try:\n    from transferlens import a\nexcept ImportError:\n    a = None\na.f()", ("f",)),
        # In these a name is one of the code's own.
        ("from transferlens.a import f, g\ndef h(f):\n    return f() + g()", ("g",)),
        ("from transferlens.a import f\ndef h():\n    f = 3\n    return f", ()),
        ("from transferlens.a import f\ndef h():\n    global f\n    f = f()", ("f",)),
        ("from transferlens.a import f\n[f for f in range(3)]", ()),
        ("from transferlens.a import f\n[f for f in f()]", ("f",)),
        ("from transferlens.a import f, g\n[f(i) for i in 'x' for f in g()]", ("g",)),
        ("from transferlens.a import f\ntry:\n    f()\nexcept OSError as f:\n    f", ("f",)),
        ("from transferlens.a import f\ndef h(x):\n    match x:\n        case [f]:\n            f()", ()),
        ("from transferlens.a import f\ndef h(x):\n    return [(f := y) for y in x], f", ()),
        # And in these the whole module may be used.
        ("from transferlens import a\nh = a", WHOLE),
        ("from transferlens import a\ngetattr(a, input())", WHOLE),
        ("from transferlens import a\nprint(a)", WHOLE),
        ("from transferlens import a\nvars(a)", WHOLE),
        ("from transferlens import a\na.unknown", WHOLE),
        ("from transferlens.a import *\nf()", ("f",)),
        (
            "def h():\n    from transferlens.a import f\n    from transferlens import a\n    return f, a",
            WHOLE,
        ),
        ("import importlib\nimportlib.import_module('transferlens.a')", WHOLE),
        ("import importlib\nimportlib.import_module(input())", ()),
        ("import transferlens\nprint(transferlens)", WHOLE),
    ],
)
def test_ways_to_use_a_module(small, script, reached):
    assert names(small(script, **{"a.py": TWO}), "a") == reached


@pytest.mark.parametrize(
    "looks_up", ["globals()[x]", "eval(x)", "vars()[x]", "getattr(sys.modules[__name__], x)"]
)
def test_a_module_that_looks_its_names_up_counts_whole(small, looks_up):
    script = "from transferlens import a\na.h(3)"
    module = f"import sys\n\n{TWO}\ndef h(x):\n    return {looks_up}\n"
    assert names(small(script, **{"a.py": module}), "a") == WHOLE
    assert names(small(script, **{"a.py": module.replace(looks_up, "x")}), "a") == ("h",)
    assert names(small(script, **{"a.py": module.replace(looks_up, "'h' in sys.modules")}), "a") == ("h",)


def test_names_that_a_package_passes_on(small):
    modules = {"p/__init__.py": "from transferlens.p.a import f as h", "p/a.py": TWO}
    assert names(small("from transferlens import p\np.h()", **modules), "p.a") == ("f",)
    assert names(small("from transferlens.p import h\nh()", **modules), "p.a") == ("f",)
    # A name that hides a module of the package: either may be meant.
    modules |= {"p/__init__.py": "from transferlens.p.a import f as b", "p/b.py": TWO}
    tree = small("from transferlens.p import b\nb()", **modules)
    assert (names(tree, "p.a"), names(tree, "p.b")) == (("f",), WHOLE)
    modules["p/__init__.py"] = "from .a import *"
    assert names(small("from transferlens.p import g\ng()", **modules), "p.a") == ("g",)
    modules["p/__init__.py"] = "def __getattr__(name):\n    from transferlens.p import a\n    return a.g"
    assert names(small("import transferlens.p\nprint()", **modules), "p.a") == ()
    assert names(small("from transferlens.p import late\nlate()", **modules), "p.a") == ("g",)


def test_definitions_are_followed_and_other_statements_kept(small):
    module = """
        from typing import TYPE_CHECKING
        from transferlens import b
        if TYPE_CHECKING:
            from transferlens import only_types
        TABLE = {"x": b.f}
        USED, OTHER = 1, 2
        def h(x: "only_types.T"):
            return USED
        class C:
            def m(self):
                return TABLE
    """
    modules = {"a.py": module, "b.py": TWO, "only_types.py": "T = int\nprint()"}
    tree = small("from transferlens import a\na.h()", **modules)
    assert tree.reached("s.py").definitions == {"scripts/s.py": WHOLE, "transferlens.a": ("USED", "h")}
    for statement in (
        "print(C())",
        "C().m += 1",
        "for i in TABLE:\n    pass",
        "if C:\n    x = 1",
        "TABLE[1] = 2",
    ):
        tree = small("from transferlens import a\na.h()", **{"a.py": textwrap.dedent(module) + statement})
        assert names(tree, "b") == ("f",), statement
        assert "(top level)" in names(tree, "a")


def test_what_registers_itself_is_kept(small):
    modules = {
        "registry.py": """
            KNOWN = {}
            def register(f):
                KNOWN[f.__name__] = f
                return f
            class Base:
                def __init_subclass__(cls):
                    KNOWN[cls.__name__] = cls
            class Plain:
                pass
        """,
        "a.py": """
            import functools
            from transferlens.registry import Base, Plain, register
            @register
            def f(): ...
            @functools.cache
            def g(): ...
            class Child(Base): ...
            class GrandChild(Child): ...
            class Other(Plain): ...
        """,
    }
    tree = small("import transferlens.a\nfrom transferlens.registry import KNOWN\nKNOWN['f']()", **modules)
    assert names(tree, "a") == ("Child", "GrandChild", "f")


def test_infrastructure_is_left_out_but_not_the_packages_it_imports(small):
    modules = {
        "core/__init__.py": "",
        "core/job.py": "import numpy\nfrom transferlens import a\na.f()",
        "a.py": TWO,
    }
    modules["b.py"] = "def f():\n    import torch.nn\ndef g():\n    from scipy import stats\n"
    tree = small(
        "import json\nfrom transferlens.core import job\nfrom transferlens import b\njob\nb.f()", **modules
    )
    made = tree.reached("s.py")
    assert made.definitions == {"scripts/s.py": WHOLE, "transferlens.b": ("f",)}
    assert made.packages == {"numpy", "torch"}


def test_another_origin_of_a_name_is_noticed(small):
    seen = set()
    for origin in ("numpy import mean as m", "scipy import mean as m", "numpy import median as m"):
        tree = small("from transferlens import a\na.f()", **{"a.py": f"from {origin}\ndef f():\n    m()\n"})
        seen.add(tree.fingerprint("s.py"))
    assert len(seen) == 3


MODULE_OF_WORDS = """
    from transferlens.core.artefacts import Field
    from pydantic import Field as Key
    # a comment
    class Settings:
        '''A docstring.'''
        models: int = Key(4, ge=1, description="so many models")
        other = "a text"
        '''An attribute's docstring.'''
    FIELDS = (Field("cka", ("layer",), "float64", "the meaning"), Settings, f"{Settings}", (1, True, 1.0))
"""


def test_words_of_descriptions_and_meanings_are_no_part(small):
    script = "from transferlens.a import FIELDS\nprint(FIELDS)"
    original = small(script, **{"a.py": MODULE_OF_WORDS}).fingerprint("s.py")
    for words in ("a comment", "so many models", "the meaning", "A docstring.", "An attribute's docstring."):
        text = MODULE_OF_WORDS.replace(words, "other words")
        assert small(script, **{"a.py": text}).fingerprint("s.py") == original, words
    for code, other in [
        ("ge=1", "ge=2"),
        ('"cka"', '"cca"'),
        ("float64", "float32"),
        ("a text", "b text"),
        ("Key(4", "Key(5"),
        ("True, 1.0", "1, 1.0"),
        ("{Settings}", "{Settings!r}"),
        ("core.artefacts", "elsewhere"),
    ]:
        text = MODULE_OF_WORDS.replace(code, other)
        assert small(script, **{"a.py": text}).fingerprint("s.py") != original, code


def test_data_beside_a_module_and_templates_by_name(small):
    modules = {
        "a/__init__.py": "",
        "a/m.py": "from pathlib import Path\ndef f():\n    return Path(__file__)\ndef g(): ...\n",
        "a/facts.yaml": "x: 1",
        "a/tables/t.tsv": "x",
        "a/notes.md": "x",
        "a/below/__init__.py": "",
        "a/below/other.yaml": "x: 1",
        "pictures/__init__.py": "",
        "pictures/templates.py": "def template(place): ...\ndef text(place): ...\n",
        "a/page.html.jinja": '{% include "a/part.html.jinja" %}',
        "a/part.html.jinja": "x",
        "a/style.css": "x",
    }
    tree = small("from transferlens.a import m\nm.f()", **modules)
    assert tree.reached("s.py").data_files == ("a/facts.yaml", "a/tables/t.tsv")
    assert small("from transferlens.a import m\nm.g()", **modules).reached("s.py").data_files == ()
    page = "from transferlens.pictures import templates\ntemplates.template('a/page.html.jinja')"
    assert small(page, **modules).reached("s.py").data_files == ("a/page.html.jinja", "a/part.html.jinja")
    style = "from transferlens.pictures.templates import text\ntext('a/style.css')"
    assert small(style, **modules).reached("s.py").data_files == ("a/style.css",)
    unknown = "from transferlens.pictures import templates\ntemplates.text(input())"
    assert len(small(unknown, **modules).reached("s.py").data_files) == 3


def test_a_file_is_parsed_again_when_it_changes(small):
    script = "from transferlens import a\na.f()"
    tree = small(script, **{"a.py": TWO})
    first = tree.fingerprint("s.py")
    path = tree.root / "transferlens/a.py"
    path.write_text(TWO.replace("return 1", "return 3"))
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**6))
    assert tree.fingerprint("s.py") != first
