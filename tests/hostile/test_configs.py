"""Five hundred hostile configs: each is accepted, or one short message names the key, within a second.

An accepted config continues to the listing of its pictures and to its networks.
"""

import pytest

from cnnviz import config
from cnnviz.network import building, network
from cnnviz.pictures import listing
from tests.hostile import configs
from tests.hostile.oracle import Wrong, said_by

ALL, STEP = 500, 13  # every thirteenth, unless pytest is told --hostile-all


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    return configs.materials(tmp_path_factory.mktemp("configs"))


def through(broken: configs.Broken) -> str:
    """The stage that a config reaches, and its message. Raises Wrong."""
    full = None

    def complete():
        nonlocal full
        full = config.complete(broken.config)

    if said := said_by(complete, 1):
        if not any(name in said for name in broken.names):
            raise Wrong(f"does not name the key: {said}")
        return f"config: {said}"
    for name, block in full["image_sets"].items():
        if said := said_by(lambda block=block: listing.rows(block), 5):
            return f"pictures of {name}: {said}"
    for id, block in full["models"].items():
        of_set = full["image_sets"][block["image_set"]]
        if said := said_by(lambda block=block, of_set=of_set: listing.check_probes(of_set, block["probes"]), 1):
            return f"probes of {id}: {said}"

        def described(id=id, block=block, of_set=of_set):
            network.describe(building.build(block, id, full["seed"]), block, id, listing.classes(of_set))

        if said := said_by(described, 10):
            return f"network {id}: {said}"
    return "accepted"


def test_hostile_configs_are_accepted_or_told_in_a_line(at, hostile_all):
    wrong = {}
    for number in range(0, ALL, 1 if hostile_all else STEP):
        broken = configs.broken(number, at)
        try:
            through(broken)
        except Wrong as error:
            wrong[f"{number}: {broken.done}"] = str(error)
    assert not wrong, "\n".join(f"{done}\n    {said}" for done, said in wrong.items())
