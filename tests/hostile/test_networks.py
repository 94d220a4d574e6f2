"""Random networks: a job works, states why it does not apply, or gives an expected error message.

They run in one process of their own, one after the other, since a network may end its process.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.hostile import networks

ROOT = Path(__file__).parents[2]
ALL, STEP, FIRST = 300, 20, 3  # every 20th, with three sections each, unless pytest is told --hostile-all


def test_the_generator_has_blocks_and_idioms_enough():
    assert len(networks.BLOCKS) >= 80 and len(networks.HEADS) >= 15 and len(networks.FORMS) >= 20
    drawn = [networks.plan(number) for number in range(ALL)]
    assert {block for made in drawn for block in made.blocks} == set(networks.BLOCKS)
    assert {made.head for made in drawn} == set(networks.HEADS) and {made.form for made in drawn} == set(networks.FORMS)
    assert {made.idiom for made in drawn} == set(networks.IDIOMS) and {made.channels for made in drawn} == {1, 3, 4, 13}


def test_no_network_is_met_by_anything_but_a_result_or_a_plain_sentence(tmp_path, hostile_all):
    numbers = ["0", "1"] if hostile_all else [str(FIRST), str(STEP)]
    command = [sys.executable, "-m", "tests.hostile.journey", str(tmp_path), *numbers, str(ALL)]
    done = subprocess.run(command + ["all"] * hostile_all, cwd=ROOT, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"number"')]
    begun = {line["number"]: line["begins"] for line in lines if "begins" in line}
    ended = {line["number"]: line for line in lines if "told" in line}
    assert done.returncode == 0 and ended, f"ended by {begun[max(begun)]}: {done.stderr[-2000:]}"
    wrong = {f"{number}: {begun[number]}": line["wrong"] for number, line in ended.items() if line["wrong"]}
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)
    worked = [line for line in ended.values() if line["told"].get("forward") == "ok"]
    assert len(worked) > len(ended) / 2 and all("network" in line["told"] for line in ended.values())
