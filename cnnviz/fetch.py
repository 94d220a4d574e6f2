"""What a run would download, before it: for clusters whose nodes have no network, on one that has.

``python -m cnnviz.fetch mine.yaml`` builds each network whose published weights the config names, which leaves
them in the config's ``cache:``. Jobs then find them there and ask nobody.
"""

import argparse

from cnnviz import config as configs
from cnnviz.errors import UserError, reporting


def published(model: dict) -> bool:
    """Whether a model's block stands for weights that come from torchvision or the hub."""
    return "factory" not in model and not model["checkpoint"] and model["weights"] != "random"


def fetch(config: dict) -> list[str]:
    """Fetch the weights of a complete config's models; says of which. Raises UserError where one is not to be had."""
    wanted = {name: block for name, block in config["models"].items() if published(block)}
    if wanted and not config["cache"]:
        raise UserError(f"cache: name a folder for the weights of {', '.join(wanted)}; without one they are not kept")
    configs.keep_weights(config["cache"], fetching=True)
    from cnnviz.network import doors  # only now: the hub's client looks at the environment when it is imported

    for name, block in wanted.items():
        print(f"model {name}: {doors.build(block, name, config['seed']).described}", flush=True)
    return list(wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config")
    path = parser.parse_args().config
    with reporting():
        config = configs.complete(configs.read(configs.exists("the config", path)))
        fetched = fetch(config)
    print(
        f"Everything is here: the weights of {', '.join(fetched)} in {config['cache']}"
        if fetched
        else "Everything is here: the config names no published weights"
    )


if __name__ == "__main__":
    main()
