#!/usr/bin/env python3
"""Checks the include arrows between the rooms of the house (docs/architecture.md).

    model/core   depends on nothing of ours
    model        on model
    gpu          on model/core, never on the golden model: a kernel cannot borrow its oracle
    traces       on model/core
    sim          on traces and model/core
    properties   on everything but tools
    tools        on everything

Only quoted includes count. gpu/tests/ holds programs that judge kernels, so they may see all of model/.
`check_arrows.py --self-test` plants wrong includes and fails unless each of them is found.
"""
import pathlib
import re
import sys
import tempfile

ROOMS = ["model/core", "model", "gpu/tests", "gpu", "traces", "sim", "properties", "tools"]
ALLOWED = {
    "model/core": ["model/core"],
    "model": ["model"],
    "gpu/tests": ["gpu", "model"],
    "gpu": ["gpu", "model/core"],
    "traces": ["traces", "model/core"],
    "sim": ["sim", "traces", "model/core"],
    "properties": ["properties", "sim", "traces", "gpu", "model"],
    "tools": ["tools", "properties", "sim", "traces", "gpu", "model"],
}
TOP_LEVEL = {"model", "gpu", "sim", "properties", "traces", "tools", "docs", "CMakeLists.txt", "CMakePresets.json",
             "README.md", "CHANGELOG.md", "LICENSE", "CONTRIBUTING.md", "build", "corpus"}
SOURCES = {".h", ".cpp", ".cu", ".cuh", ".c", ".in"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def room_of(path: str):
    for room in ROOMS:
        if path == room or path.startswith(room + "/"):
            return room
    return None


def inside(path: str, room: str) -> bool:
    return path.startswith(room + "/")


def check(root: pathlib.Path):
    wrong = []
    for room in sorted({r.split("/")[0] for r in ROOMS}):
        for file in sorted((root / room).rglob("*")):
            if file.suffix not in SOURCES or not file.is_file():
                continue
            name = file.relative_to(root).as_posix()
            allowed = ALLOWED[room_of(name)]
            for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                if not match or room_of(match.group(1)) is None:
                    continue
                if not any(inside(match.group(1), target) for target in allowed):
                    wrong.append(f"{name}:{number}: expected an include from {', '.join(allowed)}, "
                                 f"got {match.group(1)}")
    for entry in sorted(root.iterdir()):
        if not entry.name.startswith(".") and entry.name not in TOP_LEVEL:
            wrong.append(f"{entry.name}: expected one of the top-level names, got a new one")
    return wrong


def self_test():
    planted = {
        "model/core/a.h": '#include "model/golden/attention.h"',
        "gpu/k/kernel.cu": '#include "model/golden/attention.h"',
        "gpu/k/other.cu": '  #  include "model/twin/tensor_core.h"',
        "sim/pool.cpp": '#include "gpu/api/launch.h"',
        "traces/reader.cpp": '#include "sim/pool.h"',
        "model/golden/x.cpp": '#include "tools/main.h"',
        "properties/p.cpp": '#include "tools/main.h"',
    }
    fine = {
        "gpu/tests/check.cu": '#include "model/golden/attention.h"',
        "tools/x.cpp": '#include "properties/p.h"',
        "sim/ok.cpp": '#include "traces/request.h"\n#include <vector>',
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**planted, **fine}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")
        (root / "utils").mkdir()
        found = check(root)
    named = {line.split(":")[0] for line in found}
    expected = set(planted) | {"utils"}
    if named != expected:
        print(f"check_arrows self-test: expected findings in {sorted(expected)}, got {sorted(named)}")
        return 1
    print(f"check_arrows self-test: all {len(expected)} planted faults found, nothing else")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    wrong = check(pathlib.Path(__file__).resolve().parent.parent)
    print("\n".join(wrong) if wrong else "include arrows: all as drawn")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
