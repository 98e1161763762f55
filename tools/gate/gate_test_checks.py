"""Looks at what `assay gate` wrote with other eyes: Python's XML, JSON and (if there) YAML parsers.

  reports STEM CODE                     STEM.xml, STEM.json, STEM.md agree with each other and with the exit code
  receipt GATE_JSON RECEIPT_JSON        writes a receipt as a device's run would (the forgery that a digest allows)
  workflow FILE ASSAY CODES [FILES...]  parses a workflow file, runs its gate commands, expects their files
"""
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: expected {wanted!r}, got {got!r}")


def reports(stem, code):
    result = json.loads(pathlib.Path(stem + ".json").read_text())
    expect("schema", result["schema"], "assay.gate/1")
    expect("exit code", result["exit_code"], int(code))
    suites = ElementTree.parse(stem + ".xml").getroot()
    cases = list(suites.iter("testcase"))
    expect("test cases", len(cases), len(result["findings"]))
    for kind, count in (("failure", "failed"), ("error", "errors"), ("skipped", "not_run")):
        expect(kind + " elements", len(list(suites.iter(kind))), result["tally"][count])
    expect("failures attribute", suites.get("failures"), str(result["tally"]["failed"]))
    expect("errors attribute", suites.get("errors"), str(result["tally"]["errors"]))
    if result["tally"]["failed"] + result["tally"]["errors"] == 0:
        sys.exit("a report of a failed run without a failure or an error")
    summary = pathlib.Path(stem + ".md").read_bytes()
    expect("summary below 1 MiB", len(summary) < 2**20, True)
    expect("exit code in the summary", f"exit code {code}" in summary.decode(), True)


def digest_of(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def receipt(config, path):
    kernel = json.loads(pathlib.Path(config).read_text())["kernels"][0]
    files = {name: digest_of(name) for name in ("src/k.cu", "src/tile.h")}
    document = {
        "schema": "assay.receipt/1", "date": "2026-11-21", "program": "0.1.0", "device": "NVIDIA H200",
        "driver": "13.0", "kernels": [{
            "name": kernel["name"], "ran_on": "NVIDIA H200, driver 13.0", "sources": files,
            "flags": kernel["flags"],
            "gated_as": {"kernel": kernel["kernel"], "operations": [], "cases": kernel["cases"], "seeds": [1],
                         "products": 400000, "least_accepted": 0.25,
                         "headroom": {"most": 1.0, "times_baseline": 1.5, "floor": 0.02}},
            "verdicts": [{"check": check, "outcome": "held", "text": ""}
                         for check in ("corpus", "properties mqa-logits", "claims mqa-logits", "headroom")],
            "headroom": {}}]}
    compact = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    document["digest"] = hashlib.sha256(compact.encode()).hexdigest()
    pathlib.Path(path).write_text(json.dumps(document, indent=1))


def commands_of(text):
    """The shell text of every `run:` and `script:` that calls assay gate, by indentation alone."""
    lines, found = text.splitlines(), []
    for number, line in enumerate(lines):
        match = re.match(r"^( *)(?:- )?(run|script):(.*)$", line)
        if not match:
            continue
        block = []
        for below in lines[number + 1:]:
            if below.strip() and len(below) - len(below.lstrip()) <= len(match.group(1)):
                break
            block.append(re.sub(r"^\s*- ", "", below) if match.group(2) == "script" else below.strip())
        if match.group(3).strip() not in ("|", ""):
            block = [match.group(3).strip()]
        if any(part.startswith("assay gate") for part in block):
            found.append("\n".join(block))
    return found


def workflow(path, assay, codes, *files):
    text = pathlib.Path(path).read_text()
    if "\t" in text:
        sys.exit(f"{path}: a tab, which YAML does not allow")
    try:
        import yaml
        document = yaml.safe_load(text)
        jobs = document.get("jobs", document)
        if not any("gate" in name for name in jobs):
            sys.exit(f"{path}: no gate job in {list(jobs)}")
    except ImportError:
        pass  # the commands below are still read and run
    commands = commands_of(text)
    if not commands:
        sys.exit(f"{path}: no `assay gate` command found")
    for command in commands:
        for name in files:
            pathlib.Path(name).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "assay"
            program.symlink_to(os.path.abspath(assay))
            summary = pathlib.Path(folder) / "step-summary.md"
            environment = dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}", GITHUB_STEP_SUMMARY=str(summary))
            run = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", command], env=environment,
                                 capture_output=True, text=True)
            if str(run.returncode) not in codes.split():
                sys.exit(f"{path}: {command!r} gave {run.returncode}, expected {codes}:\n{run.stdout}{run.stderr}")
            if run.returncode == 0:
                for name in files:
                    expect(f"{path}: {name} written", os.path.exists(name), True)
                if "GITHUB_STEP_SUMMARY" in command:
                    expect(f"{path}: step summary written", summary.exists(), True)


if __name__ == "__main__":
    {"reports": reports, "receipt": receipt, "workflow": workflow}[sys.argv[1]](*sys.argv[2:])
