"""What the documents say is true: their programs run, their links lead somewhere, nothing public is left out."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import wrens
from wrens import errors, events

sys.path.insert(0, str(Path(__file__).parent))

from pages import ROOT, blocks, documents, name_of, pages, prose

FOLLOW = Path(__file__).parent / "follow.py"
RUN = {"python", "run", "output", "file"}


def text_of(*names: str) -> str:
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)


REFERENCE = sorted(name_of(page) for page in (ROOT / "docs/reference").glob("*.md"))


# --- programs ----------------------------------------------------------------------------------------


@pytest.fixture
def followed(tmp_path: Path) -> dict[str, str]:
    """The environment of a reader: an empty folder, a store of its own, ``python`` and ``wrens`` on the path."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, words in (("python", ""), ("wrens", "-m wrens ")):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        script.chmod(0o755)
    (tmp_path / "work").mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTEST_CURRENT_TEST", "COLUMNS"}}
    return {
        **kept,
        "WRENS_STORE": str(tmp_path / "store"),
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "HOME": str(tmp_path / "work"),
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_page_does_what_it_says(
    page: Path, followed: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not any(block.kind in RUN for block in blocks(page)):
        pytest.skip("nothing to run on this page")
    if "<!-- with: aws -->" in page.read_text(encoding="utf-8"):
        followed = {**followed, **request.getfixturevalue("aws").environment}
    done = subprocess.run(
        [sys.executable, FOLLOW, page],
        cwd=tmp_path / "work",
        env=followed,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_what_is_not_run_has_a_reason(page: Path) -> None:
    assert [block.line for block in blocks(page) if block.kind == "skip" and not block.name] == []


# --- links and paths ---------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_paths_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|tests|bench|docs)/[\w/.-]+)`", text)
    named += [
        f"src/wrens/{path}" for path in re.findall(r"`(\w+/\w+\.py)`", text) if not (ROOT / path).exists()
    ]
    # What a run of the benchmarks writes is not in every checkout.
    missing = [path for path in named if not path.startswith("bench/results") and not (ROOT / path).exists()]
    assert missing == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        todo += [(page.parent / t).resolve() for t in re.findall(r"\]\(([^)#\s]+)", page.read_text())]
    assert [name_of(page) for page in pages() if page not in seen] == []


# --- nothing public is left out ----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(wrens.__all__))
def test_every_public_name_is_documented(name: str) -> None:
    assert re.search(rf"`(?:wrens\.)?{name}\b", text_of("README.md", *REFERENCE))


PARTS = [wrens.Options, wrens.Retry, wrens.Packing, wrens.Backup, wrens.Resources, wrens.Environment]
FIELDS = [(part, field.name) for part in PARTS for field in fields(part)]


@pytest.mark.parametrize(("part", "field"), FIELDS, ids=[f"{p.__name__}.{f}" for p, f in FIELDS])
def test_every_option_has_a_row_with_its_default(part: type, field: str) -> None:
    _, _, section = text_of("docs/reference/options.md").partition(f"## `{part.__name__}`")
    rows = {
        m[1]: m[2]
        for m in re.finditer(r"^\| `(\w+)` \| `([^`]*)` \|", section.partition("\n## ")[0], re.MULTILINE)
    }
    assert field in rows
    default = getattr(part(), field)
    expected = f"{type(default).__name__}()" if isinstance(default, tuple(PARTS)) else default
    assert rows[field].replace("_", "") == str(expected)


ERRORS = [name for name, kind in vars(errors).items() if inspect.isclass(kind) and name in errors.__all__]


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in text_of("docs/reference/errors.md")


EVENTS = [
    (name, field.name)
    for name, kind in vars(events).items()
    if inspect.isclass(kind) and kind.__module__ == events.__name__
    for field in fields(kind)
]


@pytest.mark.parametrize(("event", "field"), EVENTS)
def test_every_event_and_its_fields_are_in_the_reference(event: str, field: str) -> None:
    row = re.search(rf"^\| `{event}` \|.*$", text_of("docs/reference/events.md"), re.MULTILINE)
    assert row is not None
    assert f"`{field}`" in row[0]


def commands() -> dict[str, Any]:
    """Return the commands by their words; those of a group have two."""
    import typer

    from wrens.cli.app import app

    found = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inside = getattr(command, "commands", None)
        found.update({f"{name} {word}": one for word, one in inside.items()} if inside else {name: command})
    return found


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_in_the_reference_with_its_options(command: str) -> None:
    _, found, section = text_of("docs/reference/cli.md").partition(f"## `wrens {command}")
    assert found
    parameters = commands()[command].params
    options = [max(p.opts, key=len) for p in parameters if p.opts[0].startswith("-")]
    section = section.partition("\n## ")[0]
    assert [option for option in options if option != "--help" and option not in section] == []


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_no_page_names_a_command_that_does_not_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^\$ )wrens ([a-z]+)", text, re.MULTILINE))
    assert named <= {words.partition(" ")[0] for words in commands()}


def test_every_key_is_in_the_reference() -> None:
    from wrens.wire import keys

    assert keys.__doc__
    spelled = re.findall(r"^    ([a-z]+/\S+)", keys.__doc__, re.MULTILINE)
    assert spelled
    layout = text_of("docs/reference/store-layout.md")
    assert [key for key in spelled if f"`{key.removesuffix('…')}" not in layout] == []


# --- figures -----------------------------------------------------------------------------------------

SPEED = re.compile(r"\d[\d,.]*\s*(×|times as|times faster|ns\b|µs|ms\b|tasks/s|MB/s|% (of|faster))")


def test_every_figure_of_speed_in_the_readme_names_its_script() -> None:
    for paragraph in re.split(r"\n\s*\n|\n(?=\|)", prose(ROOT / "README.md")):
        if SPEED.search(paragraph):
            scripts = re.findall(r"bench/\w+\.py", paragraph)
            assert scripts, f"which script in bench/ says so?\n{paragraph}"
            assert [script for script in scripts if not (ROOT / script).exists()] == []


CONSTANTS = [
    (name_of(page), *row)
    for page in documents()
    for row in re.findall(r"^\| `(wrens[\w.]+)\.([A-Z_]+)` \| ([\d.,]+)", page.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize(("page", "module", "name", "value"), CONSTANTS)
def test_constants_are_quoted_as_they_are(page: str, module: str, name: str, value: str) -> None:
    assert getattr(importlib.import_module(module), name) == float(value.replace(",", ""))


# --- the map of the house ----------------------------------------------------------------------------


def test_the_architecture_names_every_module() -> None:
    text = text_of("ARCHITECTURE.md")
    house = ROOT / "src/wrens"
    missing = []
    for path in sorted(house.rglob("*.py")):
        if path.name in {"__init__.py", "__main__.py"}:
            continue
        folder = "src/wrens" if path.parent == house else path.parent.relative_to(house).as_posix()
        section = text.partition(f"\n{folder}/")[2].partition("\n\n")[0]
        if f"\n    {path.name} " not in section:
            missing.append(f"{folder}/{path.name}")
    assert missing == [], "each file has a line in ARCHITECTURE.md"


def test_the_architecture_names_no_module_that_is_gone() -> None:
    tree = text_of("ARCHITECTURE.md").partition("## Every file")[2].partition("\n## ")[0]
    gone = []
    for section in re.split(r"\n\n", tree):
        folder = re.search(r"^([\w/]+)/ *(?:\s|$)", section, re.MULTILINE)
        if folder is None:
            continue
        where = ROOT / folder[1] if folder[1] == "src/wrens" else ROOT / "src/wrens" / folder[1]
        gone += [
            name
            for name in re.findall(r"^    (\w+\.py)", section, re.MULTILINE)
            if not (where / name).exists()
        ]
    assert gone == []


# --- figures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "bench/results").glob("*.json")), ids=lambda path: path.stem)
def test_the_readme_quotes_what_was_measured(path: Path) -> None:
    """Each bar's figure stands in the row of its script, with a word on those that were missed."""
    found = json.loads(path.read_text(encoding="utf-8"))
    row = next(line for line in text_of("README.md").splitlines() if f"`bench/{path.stem}.py`" in line)
    measured = row.split("|")[-2]
    assert not found["quick"]
    assert [bar["shown"] for bar in found["bars"] if bar["shown"] not in measured] == []
    assert ("not reached" in measured) == any(not bar["reached"] for bar in found["bars"])


def test_every_row_of_the_readme_was_measured() -> None:
    scripts = re.findall(r"\| `bench/(\w+)\.py` \|", text_of("README.md"))
    assert sorted(scripts) == sorted(path.stem for path in (ROOT / "bench/results").glob("*.json"))
    assert len(scripts) == 25
