"""The rules of the house, checked on the source text: layers, purity, sizes, names, docstrings, tasks, tests.

Reads files with ast and imports nothing of the package, so it also works on a tree that does not run. Each rule is a
function from a source file to complaints; the second half of this file shows each rule a case that breaks it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"model", "errors", "logs", "setting"}),
    frozenset({"api_objects"}),
    frozenset({"core", "files"}),
    frozenset({"edges"}),
    frozenset({"kube", "capture", "dataplane", "admin", "standalone"}),
    frozenset({"reconcile", "config"}),
    frozenset({"agent", "check", "configfile", "connectivity"}),
    frozenset({"app"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
"""Lowest first. A part imports from lower layers only; parts of one layer do not import each other."""

RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}

PURE = frozenset({"core", "api_objects", "model", "errors"})

IMPURE_MODULES = re.compile(
    "aiohttp|asyncio|click|concurrent|contextvars|ctypes|fcntl|http|io|kubernetes_asyncio|logging|multiprocessing|os|pathlib|"
    "prometheus_client|random|resource|secrets|select|selectors|shutil|signal|socket|ssl|subprocess|sys|tempfile|threading|"
    "time|urllib|uuid|uvloop|yaml"
)

IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval"})
CLOCK_METHODS = frozenset({"now", "utcnow", "today"})

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
BANNED_WORDS = frozenset({"utils", "util", "helper", "helpers", "manager", "base", "common", "impl"})

SUBPROCESS_HOME = frozenset({"userproxy/capture/commands.py", "userproxy/dataplane/worker_link.py"})
PROCESS_STARTERS = re.compile(
    r"create_subprocess_(exec|shell)|system|popen|fork|forkpty|posix_spawnp?|(exec|spawn)[lv]p?e?"
)

WITHOUT_TEST: dict[str, str] = {
    "userproxy/model.py": "values without decisions; every other test makes and compares them",
    "userproxy/api_objects.py": "values without decisions; tests/kube/test_decode.py makes them of JSON",
    "userproxy/core/plan_settings.py": "values without decisions; test_plan.py and test_listening.py vary each of them",
    "userproxy/errors.py": "names and exit codes; the command line's tests show both to the caller",
    **dict.fromkeys(
        (f"userproxy/config/{group}.py" for group in ("cluster", "traffic", "admin", "standalone")),
        "documented values; tests/config/test_checks.py gives them wrong ones, tests/configfile and tests/cli read them",
    ),
    "userproxy/edges.py": "contracts without code; mypy holds the edges against them, tests/reconcile/test_loop.py uses them",
    "userproxy/__main__.py": "one call of the command line, which the command line's tests make as a process",
    "userproxy/app.py": "signals and exit codes; tests/e2e runs it as a process",
    "userproxy/cli/run.py": "tests/cli/test_options.py and tests/e2e run it as a process",
    "userproxy/cli/standalone.py": "tests/cli/test_options.py and tests/e2e run it as a process",
    "userproxy/cli/cleanup.py": "tests/cli/test_options.py and tests/e2e run it as a process",
    "userproxy/core/explanation.py": "tests/core/test_explain.py reads explanations as data and as text",
    "userproxy/core/reasons.py": "tests/core/test_explain.py: the words come with each explanation",
    "userproxy/core/connection_view.py": "tests/core/test_listing.py shows connections in a table",
    "userproxy/core/inspection.py": "values without decisions; tests/dataplane/test_inspection.py makes them",
    "userproxy/core/summary.py": "tests/core/test_listing.py has the screen of status",
    "userproxy/capture/pod_namespace.py": "tests/cli/test_connectivity.py connects from it and looks at what is left",
    "userproxy/cli/status.py": "tests/cli/test_views.py asks a running demo",
    "userproxy/cli/get.py": "tests/cli/test_views.py asks a running demo",
    "userproxy/cli/explain.py": "tests/cli/test_views.py asks a running demo",
    "userproxy/cli/terminal.py": "the tests of the commands look at what is printed",
    "userproxy/check/runner.py": "tests/cli/test_check.py runs it against a bare host and a running demo",
    "userproxy/dataplane/worker.py": "tests/dataplane/test_pool.py runs it as the process that it is",
    "userproxy/dataplane/worker_link.py": "tests/dataplane/test_pool.py: a worker and its pool have one contract",
    "userproxy/dataplane/privileges.py": "cannot be undone in the process of the tests; test_pool.py reads /proc/PID/status",
}
"""Modules that need no test module of their own, with the reason."""

TESTED_FROM_OUTSIDE = {
    "userproxy/standalone/": "its contract is what the API answers: tests/standalone asks over HTTP, by kubectl and by the "
    "recorded exchanges of a real server",
}
"""Folders whose modules are tested through what they make together, with the reason."""


@dataclass(frozen=True)
class Source:
    """One file: its path from the root of the repository, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return _parse(self.text)

    @property
    def part(self) -> str:
        """The top-level module or package of userproxy that this file belongs to; empty for the package itself."""
        name = self.path.removeprefix("userproxy/").removesuffix(".py").split("/")[0]
        return "" if name == "__init__" else name

    def at(self, node: ast.stmt | ast.expr, text: str) -> str:
        return f"{self.path}:{node.lineno}: {text}"


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


def imports(source: Source) -> Iterator[tuple[ast.stmt, str]]:
    """Yield every import of a file, also inside functions, as a dotted name; `from a import b` gives `a.b`."""
    package = source.path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) - node.level + 1] if node.level else []
            for alias in node.names:
                yield node, ".".join([*origin, *([node.module] if node.module else []), alias.name])


def layers(source: Source) -> Iterator[str]:
    rank = RANK.get(source.part)
    if source.part and rank is None:
        yield f"{source.path}: {source.part} has no layer; give it its place in LAYERS and in userproxy/__init__.py"
        return
    for node, name in imports(source):
        root, _, rest = name.partition(".")
        part = rest.partition(".")[0]
        if root != "userproxy" or part not in RANK or part == source.part:
            continue
        if rank is None or RANK[part] > rank:
            yield source.at(node, f"imports {name}, which is above; imports go downward only")
        elif RANK[part] == rank:
            yield source.at(
                node,
                f"imports {name}; parts of one layer do not import each other: share a value through core",
            )


def purity(source: Source) -> Iterator[str]:
    if source.part not in PURE:
        return
    for node, name in imports(source):
        if IMPURE_MODULES.fullmatch(name.partition(".")[0]):
            yield source.at(
                node, f"imports {name}; core is pure: hand clocks, randomness and input in as arguments"
            )
    for call in ast.walk(source.tree):
        if not isinstance(call, ast.Call):
            continue
        if isinstance(call.func, ast.Name) and call.func.id in IMPURE_CALLS:
            yield source.at(call, f"calls {call.func.id}(); core does no input or output")
        if isinstance(call.func, ast.Attribute) and call.func.attr in CLOCK_METHODS:
            yield source.at(
                call, f"calls {call.func.attr}(); core reads no clock: take the time as an argument"
            )


def docstring(source: Source) -> Iterator[str]:
    lines = [line for line in (ast.get_docstring(source.tree) or "").splitlines() if line.strip()]
    if len(lines) < 2:
        yield f"{source.path}:1: the module docstring has {len(lines)} lines; say in two or more what it owns and what not"


def sizes(source: Source) -> Iterator[str]:
    count = len(source.text.splitlines())
    if count > MAX_FILE_LINES:
        yield f"{source.path}: {count} lines, at most {MAX_FILE_LINES}; split it by what its parts own"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield source.at(node, f"{node.name} has {length} lines, at most {MAX_FUNCTION_LINES}")


def names(source: Source) -> Iterator[str]:
    for piece in source.path.removesuffix(".py").split("/"):
        for word in BANNED_WORDS.intersection(piece.lower().split("_")):
            yield f"{source.path}: {word!r} in a file name says nothing; name it after what it owns"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", node.name)}
            for word in BANNED_WORDS & words:
                yield source.at(
                    node, f"{word!r} in class name {node.name} says nothing; name it after what it is"
                )


def tasks(source: Source) -> Iterator[str]:
    for node, name in imports(source):
        if name in {"asyncio.create_task", "asyncio.ensure_future"}:
            yield source.at(node, f"imports {name}; tasks belong to a TaskGroup and have names")
    for call in ast.walk(source.tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        name, owner = call.func.attr, ast.unparse(call.func.value)
        if name == "ensure_future" or (name == "create_task" and (owner == "asyncio" or "loop" in owner)):
            yield source.at(call, f"calls {owner}.{name}; tasks belong to a TaskGroup and have names")
        elif name == "create_task" and not any(keyword.arg == "name" for keyword in call.keywords):
            yield source.at(call, "a task without a name; pass name=")


def processes(source: Source) -> Iterator[str]:
    if source.path in SUBPROCESS_HOME:
        return
    where = "programs are run by capture/commands.py only, and workers by dataplane/worker_link.py"
    for node, name in imports(source):
        if name.partition(".")[0] in {"subprocess", "multiprocessing", "pty"}:
            yield source.at(node, f"imports {name}; {where}")
    for call in ast.walk(source.tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            owner = ast.unparse(call.func.value)
            if owner in {"os", "asyncio", "asyncio.subprocess"} and PROCESS_STARTERS.fullmatch(
                call.func.attr
            ):
                yield source.at(call, f"calls {owner}.{call.func.attr}; {where}")


def lazy_client(source: Source) -> Iterator[str]:
    for node in source.tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and "kubernetes_asyncio" in ast.unparse(node):
            yield source.at(
                node, "kubernetes_asyncio costs 38 MB and 0.3 s; import it inside the function that needs it"
            )


def mirror_of(path: str) -> str:
    """Return the test module that mirrors a module: userproxy/a/b.py has tests/a/test_b.py."""
    folder, _, name = path.removeprefix("userproxy/").rpartition("/")
    return "/".join(part for part in ("tests", folder, f"test_{name}") if part)


def untested(modules: set[str], tests: set[str], exceptions: dict[str, str]) -> Iterator[str]:
    for path in sorted(modules):
        mirror = mirror_of(path)
        if path.endswith("/__init__.py") or mirror in tests or path.startswith(tuple(TESTED_FROM_OUTSIDE)):
            continue
        if path not in exceptions:
            yield f"{path}: has no {mirror}; write it, or give the reason in WITHOUT_TEST"
    for path in sorted(exceptions):
        if path not in modules:
            yield f"WITHOUT_TEST names {path}, which does not exist; remove it"
        elif mirror_of(path) in tests:
            yield f"WITHOUT_TEST names {path}, which has {mirror_of(path)}; remove it"


# ---- the rules on the tree ----------------------------------------------------------------------------------------

Rule = Callable[[Source], Iterator[str]]

PACKAGE_RULES: tuple[Rule, ...] = (layers, purity, docstring, sizes, names, tasks, processes, lazy_client)
TEST_RULES: tuple[Rule, ...] = (sizes, names)


@cache
def sources(folder: str) -> tuple[Source, ...]:
    """Return the Python files under a folder of the repository."""
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), path.read_text())
        for path in sorted((ROOT / folder).rglob("*.py"))
    )


def report(complaints: list[str]) -> None:
    if complaints:
        pytest.fail(
            f"{len(complaints)} against the rules of the house:\n" + "\n".join(complaints), pytrace=False
        )


def test_the_tree_is_seen() -> None:
    paths = {source.path for source in sources("userproxy")}
    assert {"userproxy/__init__.py", "userproxy/model.py", "userproxy/core/plan.py"} <= paths
    assert "tests/test_architecture.py" in {source.path for source in sources("tests")}


@pytest.mark.parametrize("rule", PACKAGE_RULES)
def test_package(rule: Rule) -> None:
    report([complaint for source in sources("userproxy") for complaint in rule(source)])


@pytest.mark.parametrize("rule", TEST_RULES)
def test_tests(rule: Rule) -> None:
    report([complaint for source in sources("tests") for complaint in rule(source)])


def test_every_module_has_a_test_module() -> None:
    modules, tests = ({source.path for source in sources(folder)} for folder in ("userproxy", "tests"))
    report(list(untested(modules, tests, WITHOUT_TEST)))


# ---- each rule on a case that breaks it ----------------------------------------------------------------------------

BROKEN: list[tuple[Rule, str, str]] = [
    (layers, "core/x.py", "from userproxy.kube import store"),
    (layers, "core/x.py", "def f():\n    import userproxy.app"),
    (layers, "kube/x.py", "from userproxy.admin.sources import Sources"),
    (layers, "kube/x.py", "from userproxy import capture"),
    (layers, "kube/x.py", "from ..capture import commands"),
    (layers, "admin/x.py", "from userproxy.reconcile import loop"),
    (layers, "model.py", "import userproxy.errors"),
    (layers, "errors.py", "import userproxy.core"),
    (layers, "__init__.py", "import userproxy.model"),
    (layers, "novelty/x.py", ""),
    (purity, "core/x.py", "import time"),
    (purity, "core/x.py", "from os import path"),
    (purity, "model.py", "import asyncio.events"),
    (purity, "core/x.py", "print('x')"),
    (purity, "core/x.py", "from datetime import datetime\ndatetime.now()"),
    (docstring, "cli/x.py", ""),
    (docstring, "cli/x.py", '"""One line is not enough."""'),
    (sizes, "cli/x.py", "\n" * 401),
    (sizes, "cli/x.py", "def f():\n" + "    x = 1\n" * 60),
    (sizes, "cli/x.py", "class C:\n    async def f(self):\n" + "        x = 1\n" * 60),
    (names, "kube/utils.py", ""),
    (names, "kube/list_helpers.py", ""),
    (names, "common/x.py", ""),
    (names, "kube/x.py", "class WatchManager: ..."),
    (names, "kube/x.py", "class _BaseWatch: ..."),
    (names, "kube/x.py", "class HTTPImpl: ..."),
    (tasks, "kube/x.py", "import asyncio\nasyncio.create_task(f(), name='x')"),
    (tasks, "kube/x.py", "import asyncio\nasyncio.ensure_future(f())"),
    (tasks, "kube/x.py", "from asyncio import create_task"),
    (tasks, "kube/x.py", "asyncio.get_running_loop().create_task(f(), name='x')"),
    (tasks, "kube/x.py", "group.create_task(f())"),
    (processes, "kube/x.py", "import subprocess"),
    (processes, "kube/x.py", "import asyncio\nasyncio.create_subprocess_exec('nft')"),
    (processes, "kube/x.py", "import os\nos.execvp('nft', [])"),
    (processes, "kube/x.py", "import os\nos.fork()"),
    (lazy_client, "kube/x.py", "import kubernetes_asyncio"),
    (lazy_client, "kube/x.py", "from kubernetes_asyncio.client import ApiClient"),
]

KEPT: list[tuple[Rule, str, str]] = [
    (layers, "core/x.py", "from userproxy.core.plan import plan\nfrom userproxy.model import Family"),
    (
        layers,
        "kube/x.py",
        "from userproxy import __version__\nfrom userproxy.kube.store import Store\nimport userproxy",
    ),
    (layers, "cli/x.py", "from userproxy import app, config, reconcile\nfrom userproxy.kube import store"),
    (layers, "__init__.py", "import enum"),
    (purity, "core/x.py", "import ipaddress\nfrom datetime import datetime\nimport msgspec"),
    (purity, "kube/x.py", "import time\nprint(time.time())"),
    (docstring, "cli/x.py", '"""What it owns.\n\nWhat it does not.\n"""'),
    (sizes, "cli/x.py", "def f():\n" + "    x = 1\n" * 59),
    (names, "kube/database.py", "class Database: ...\nclass Commonality: ...\nclass Imply: ..."),
    (tasks, "kube/x.py", "group.create_task(f(), name='x')"),
    (processes, "capture/commands.py", "import asyncio\nasyncio.create_subprocess_exec('nft')"),
    (processes, "kube/x.py", "import os\nos.getpid()\nconnection.system()"),
    (lazy_client, "kube/x.py", "def f():\n    import kubernetes_asyncio"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN)
def test_a_broken_rule_is_noticed(rule: Rule, path: str, text: str) -> None:
    complaints = list(rule(Source(f"userproxy/{path}", text)))
    assert len(complaints) == 1
    assert complaints[0].startswith(f"userproxy/{path}:")


@pytest.mark.parametrize(("rule", "path", "text"), KEPT)
def test_a_kept_rule_is_silent(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(f"userproxy/{path}", text))) == []


def test_missing_and_stale_test_modules_are_noticed() -> None:
    modules = {"userproxy/a.py", "userproxy/b/c.py", "userproxy/b/d.py", "userproxy/b/__init__.py"}
    assert list(untested(modules, {"tests/test_a.py", "tests/b/test_c.py", "tests/b/test_d.py"}, {})) == []
    found = list(
        untested(
            modules, {"tests/test_a.py"}, {"userproxy/b/d.py": "why", "userproxy/a.py": "x", "gone.py": "x"}
        )
    )
    assert [line.partition(":")[0] for line in found] == [
        "userproxy/b/c.py",
        "WITHOUT_TEST names gone.py, which does not exist; remove it",
        "WITHOUT_TEST names userproxy/a.py, which has tests/test_a.py; remove it",
    ]
