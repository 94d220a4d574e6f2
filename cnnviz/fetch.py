"""Downloads what a run needs before it, for clusters whose nodes have no internet connection.

``python -m cnnviz.fetch mine.yaml`` builds each network with published weights, which leaves them in the config's
``cache:``. Jobs then find them there and use no connection.
"""

import argparse

from cnnviz import config as configs
from cnnviz.errors import UserError, reporting


def published(model: dict) -> bool:
    """Whether a model's weights come from torchvision or the hub."""
    return "factory" not in model and not model["checkpoint"] and model["weights"] != "random"


def fetch(config: dict) -> list[str]:
    """Fetches the weights of a complete config's models; returns their names. Raises UserError if one is missing."""
    wanted = {name: block for name, block in config["models"].items() if published(block)}
    if wanted and not config["cache"]:
        raise UserError(f"cache: name a folder for the weights of {', '.join(wanted)}; without one they are not stored")
    configs.keep_weights(config["cache"], fetching=True)
    from cnnviz.network import building  # imported here, since the hub's client reads the environment at its import

    for name, block in wanted.items():
        print(f"model {name}: {building.build(block, name, config['seed']).described}", flush=True)
    return list(wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config")
    path = parser.parse_args().config
    with reporting():
        config = configs.complete(configs.read(configs.exists("the config", path)))
        fetched = fetch(config)
    print(
        f"All weights are available: {', '.join(fetched)} in {config['cache']}"
        if fetched
        else "Nothing to fetch: the config uses no published weights"
    )


if __name__ == "__main__":
    main()
