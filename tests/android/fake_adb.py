"""Stands in for adb: a folder is the phone, and config.json says what is wrong with it.

Run as `fake_adb.py FOLDER ARGUMENT...`. Commands are recorded in FOLDER/commands, one a line.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

# Paths of a phone that are inside FOLDER/root.
INSIDE = ("/data/local/tmp", "/sys/devices")


def fail(sentence: str) -> None:
    print(f"adb: error: {sentence}", file=sys.stderr)
    sys.exit(1)


def main(folder: Path, arguments: list[str]) -> None:
    config = json.loads((folder / "config.json").read_text())
    with open(folder / "commands", "a") as log:
        print(shlex.join(arguments), file=log)
    if arguments == ["devices"]:
        print("* daemon started successfully\nList of devices attached")
        print("".join(f"{serial}\t{state}\n" for serial, state in config["devices"].items()))
        return
    flag, serial, command, *rest = arguments
    assert flag == "-s"
    word, times = config.get("unplug_at", ["", 0])
    recorded = (folder / "commands").read_text().splitlines()
    if word and sum(word in line for line in recorded) >= times:
        fail(f"device '{serial}' not found")
    if command == "get-state":
        print("device")
    elif command == "push":
        push(folder, config, *rest)
    elif command == "pull":
        shutil.copy(inside(folder, rest[0]), rest[1])
    else:
        assert command == "shell"
        shell(folder, config, *rest)


def inside(folder: Path, text: str) -> str:
    for path in INSIDE:
        text = text.replace(path, f"{folder}/root{path}")
    return text


def push(folder: Path, config: dict, source: str, target: str) -> None:
    if "full_at" in config and config["full_at"] in source:
        fail(f"failed to copy '{source}' to '{target}': remote No space left on device")
    copy = Path(inside(folder, target))
    shutil.copy(source, copy)
    if copy.name == "pqv_run":  # one for this machine in its place
        copy.write_text(f'#!/bin/sh\nexec {shlex.join(config["runner"])} "$@"\n')


def shell(folder: Path, config: dict, text: str) -> None:
    words = shlex.split(text)
    if words[0] == "getprop":
        print(config["properties"].get(words[1], ""))
    elif words[0] == "df":
        print("Filesystem 1K-blocks Used Available Use% Mounted on")
        print(f"/dev/block/dm-5 9 9 {config['free_kb']} 99% /data")
    else:
        sys.exit(subprocess.run(["sh", "-c", inside(folder, text)], check=False).returncode)


main(Path(sys.argv[1]), sys.argv[2:])
