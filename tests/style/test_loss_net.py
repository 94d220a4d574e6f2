"""Style with another model as loss network: the job reads that network, and its changes rerun the job."""

import json
import re

import pytest

from cnnviz import config
from cnnviz.errors import UserError
from tests.checkout import Photographed, only


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> dict[tuple[str, str], str]:
    """(section, model) → the command that a dry run would run."""
    checkout = Photographed(tmp_path_factory.mktemp("checkout"))
    tiny = checkout.config["models"]["tiny"]
    judge = {k: v for k, v in tiny.items() if k != "checkpoint"} | {"layers": ["conv2"]}
    sections = only({"style_transfer": {"loss_net": "judge"}, "texture_synthesis": {}})
    checkout.configure(models={"tiny": tiny, "judge": judge}, sections=sections)
    done = checkout.snakemake("--dry-run", "--printshellcmds", "--quiet", "host")
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.findall(
        r"python -m cnnviz\.style\.(\w+) .*?--output result=results/models/(\w+)/", done.stdout + done.stderr
    )
    lines = re.findall(r"python -m cnnviz\.style\..*", done.stdout + done.stderr)
    return dict(zip(found, lines, strict=True))


@pytest.mark.parametrize(
    ("section", "model", "judge"),
    [
        ("style_transfer", "tiny", "judge"),
        ("style_transfer", "judge", "judge"),
        ("texture_synthesis", "tiny", "tiny"),
        ("texture_synthesis", "judge", "judge"),
    ],
)
def test_the_job_gets_the_network_of_its_judge(commands, section, model, judge):
    command = commands[section, model]
    assert f"--input network=results/models/{judge}/network.json" in command
    job = json.loads(re.search(r"--job '(.*?)' --code", command)[1])
    assert job["model_id"] == judge and job["section"] == section
    assert job["model"]["layers"] == (["conv2"] if judge == "judge" else "default")
    assert job["model"].get("checkpoint") == ("weights.pt" if judge == "tiny" else None)


@pytest.mark.parametrize("section", ["style_transfer", "texture_synthesis"])
def test_an_unknown_loss_net_is_told_the_valid_ones(section):
    models = {name: {"torchvision": "alexnet"} for name in ("alexnet", "vgg19")}
    block = {"image_sets": {"set": {"kind": "demo"}}, "models": models}
    with pytest.raises(UserError, match=rf"sections.{section}.loss_net: .*'vgg_19'.*vgg19.*Valid: alexnet, vgg19"):
        config.complete(block | {"sections": {section: {"loss_net": "vgg_19"}}})
    assert (
        config.complete(block | {"sections": {section: {"loss_net": "vgg19"}}})["sections"][section]["loss_net"]
        == "vgg19"
    )


def test_given_pictures_become_blocks_whose_files_exist():
    block = {"image_sets": {"set": {"kind": "demo"}}, "models": {"m": {"torchvision": "alexnet"}}}

    def sections(**changed):
        return config.complete(block | {"sections": changed})["sections"]

    own = {"path": "docs/gallery.webp", "credit": "ours"}
    full = sections(style_transfer={"style": own["path"], "second_style": None}, texture_synthesis={"pictures": [own]})
    bare = {"path": own["path"], "title": None, "credit": "", "licence": "", "box": None}
    assert full["style_transfer"]["style"] == bare and full["style_transfer"]["second_style"] is None
    assert full["style_transfer"]["content"]["licence"] == "MIT"
    assert full["texture_synthesis"]["pictures"] == [bare | own]
    with pytest.raises(UserError, match=r"texture_synthesis.pictures.1: .*does not exist"):
        sections(texture_synthesis={"pictures": [own, "docs/galery.webp"]})
