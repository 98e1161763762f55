#!/usr/bin/env python3
"""Runs the commands that the README and the pages in docs/ show, so that they keep working.

Every line of a ```sh block runs in the repository's root with build/release/bin first on PATH, in the
order of the page, in one shell per block. A block that is preceded by `<!-- not run: REASON -->` is
skipped, and the reason is printed: a command that needs a GPU, a network or the user's own files.
A command that fails, or a page without any block, fails the run.
"""
import os
import pathlib
import re
import subprocess
import sys

BLOCK = re.compile(r"(?:<!--\s*not run:\s*(?P<reason>.*?)\s*-->\s*\n)?```sh\n(?P<text>.*?)```", re.S)


def main():
    if any(name.startswith("-") for name in sys.argv[1:]):
        print(__doc__)
        return 0
    root = pathlib.Path(__file__).resolve().parent.parent
    pages = [root / "README.md"] + [root / name for name in sys.argv[1:]]
    environment = dict(os.environ, PATH=f"{root / 'build/release/bin'}:{os.environ['PATH']}", NO_COLOR="1")
    failures = ran = 0
    for page in pages:
        blocks = list(BLOCK.finditer(page.read_text()))
        if not blocks:
            print(f"{page.name}: expected at least one sh block, got none")
            failures += 1
        for block in blocks:
            first = block["text"].strip().splitlines()[0]
            if block["reason"]:
                print(f"{page.name}: not run ({block['reason']}): {first}")
                continue
            ran += 1
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", block["text"]], cwd=root, env=environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=600)
            if done.returncode != 0:
                failures += 1
                print(f"{page.name}: exit {done.returncode} from:\n{block['text']}\n{done.stdout[-3000:]}")
            else:
                print(f"{page.name}: ok: {first}")
    print(f"documented commands: {ran} blocks run, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
