"""The network's facts with the config's layers and feature vector, for code that never opens the network.

``python -m cnnviz.network.model`` writes ``model.json``, which views and pages read: ``network.json`` with ``chosen``
and ``feature`` of the config.
"""

import json

from cnnviz.network.facts import chosen, feature, read
from cnnviz.run import atomic
from cnnviz.run.job import Job, run


def main(job: Job) -> None:
    facts = read(job.inputs["network"])
    facts |= {"chosen": chosen(facts, job.model["layers"]), "feature": feature(facts, job.model["feature_layer"])}
    atomic.write_text(job.outputs["model"], json.dumps(facts, indent=1))


if __name__ == "__main__":
    run(main)
