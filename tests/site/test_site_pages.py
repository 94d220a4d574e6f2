"""The rendered files: everything in the manifest exists, nothing escapes the HTML, nothing is written twice."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnnviz.site import model_pages, timings
from cnnviz.site.environment import number, plain, short
from cnnviz.site.folder import Publication, withdraw
from cnnviz.site.partial import partial
from cnnviz.site.redact import log_end, redact
from cnnviz.site.size import MB
from tests.site import static, synthetic
from tests.site.synthetic import NASTY, SECTIONS


@pytest.fixture
def results(rendered, tmp_path):
    """A copy of the rendered results."""
    return shutil.copytree(rendered[0], tmp_path / "results")


def snapshot(site: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p.relative_to(site)): (p.read_bytes(), p.stat().st_mtime_ns) for p in site.rglob("*") if p.is_file()}


def contents(site: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in snapshot(site).items()}


def test_files_are_sound(rendered):
    assert static.problems(rendered[0] / "site") == []


def test_static_check_finds_what_is_broken(results):
    page = results / "site" / "methods.html"
    text = page.read_text().replace("</main>", '<img src="x.png"><a href="index.html#no">n</a><h1>2</h1></b></main>')
    page.write_text(text)
    found = "\n".join(static.problems(results / "site"))
    for word in ("dead link x.png", "dead anchor index.html#no", "2 h1", "</b> closes", "without alt"):
        assert word in found


def test_manifest_is_what_scripts_read(rendered):
    results, manifest = rendered
    assert manifest["schema"] == 1
    assert [m["id"] for m in manifest["models"]] == ["alexnet", "nasty-1"]
    statuses = {}
    for model in manifest["models"]:
        assert model["accuracy"] == {"top1": 0.5652, "top5": 0.7907, "pictures": 2000}
        assert [s["id"] for s in model["sections"]] == SECTIONS
        for section in model["sections"]:
            assert set(section) == {"id", "title", "page", "figures", "status", "metrics"}
            page = static.Page((results / "site" / section["page"]).read_text("utf-8"))
            assert len(page.all("figure")) == section["figures"]
            assert page.all("body")[0]["data-technique"] == section["id"]
            statuses[model["id"], section["id"]] = section["status"]
    assert {k: v for k, v in statuses.items() if v != "ok"} == {
        ("nasty-1", "pca"): "not_applicable",
        ("nasty-1", "cam"): "missing",
    }


def test_names_reach_html_only_escaped(rendered):
    site = rendered[0] / "site"
    for path, page in static.pages(site).items():
        assert "alert(1)</script>" not in path.read_text("utf-8")
        for script in page.all("script"):
            assert script == {"type": "application/json"} or set(script) == {"src", "defer"}, (
                "a script that is not ours"
            )
    page = static.Page((site / "models/nasty-1/sections/class_visualization.html").read_text("utf-8"))
    assert NASTY in page.text
    assert any(NASTY in image["alt"] for image in page.all("img"))


def test_no_path_or_user_of_this_machine(rendered):
    results, _ = rendered
    for name, content in contents(results / "site").items():
        if name.endswith((".html", ".js", ".json")):
            assert b"/home/" not in content and b"alice" not in content and str(results).encode() not in content, name
    page = static.Page((results / "site/models/alexnet/sections/pca.html").read_text("utf-8"))
    assert "wave.jpg" in page.text


def test_every_page_of_a_model_links_to_its_comparison(rendered):
    site = rendered[0] / "site"
    pages = list((site / "models").rglob("*.html"))
    assert len(pages) > 20
    assert all("compare/alexnet-and-nasty-1.html" in page.read_text("utf-8") for page in pages)


def test_missing_section_shows_the_end_of_its_log(rendered):
    page = static.Page((rendered[0] / "site/models/nasty-1/sections/cam.html").read_text("utf-8"))
    assert "line 39" in page.text and "line 20" not in page.text and "RuntimeError: no" in page.text
    assert "100%|####" in page.text and "10%|#" not in page.text.replace("100%|#", "")
    assert "\x1b" not in page.text


def test_all_that_is_missing_is_on_one_page(rendered, tmp_path):
    results, manifest = rendered
    page = static.Page((results / "site/missing.html").read_text("utf-8"))
    assert "line 39" in page.text and "RuntimeError: no" in page.text and "It has no features." in page.text
    assert "alice" not in page.text
    linked = {a["href"] for a in page.all("a")}
    gone = {s["page"] for m in manifest["models"] for s in m["sections"] if s["status"] != "ok"}
    assert len(gone) == 2 and gone <= linked
    for other in ("index.html", "models/nasty-1/index.html", "search-index.js"):
        assert "missing.html" in (results / "site" / other).read_text("utf-8").split("<footer")[0]
    whole = synthetic.make_results(tmp_path)
    synthetic.render(whole, sections=["class_visualization"])
    assert "Nothing: every picture was read" in (whole / "site/missing.html").read_text("utf-8")


def test_failed_view_shows_its_own_log(results):
    (results / "models" / "alexnet" / "sections" / "pca" / "section.json").unlink()
    (results / "logs" / "alexnet").mkdir(parents=True)
    (results / "logs" / "alexnet" / "pca.log").write_text("computed well")
    (results / "logs" / "alexnet" / "pca.view.log").write_text("KeyError: vectors")
    synthetic.render(results)
    page = static.Page((results / "site/models/alexnet/sections/pca.html").read_text("utf-8"))
    assert "KeyError: vectors" in page.text and "computed well" not in page.text


def test_not_applicable_section_says_why(rendered):
    page = static.Page((rendered[0] / "site/models/nasty-1/sections/pca.html").read_text("utf-8"))
    assert "It has no features." in page.text


def test_every_figure_has_all_that_belongs_to_it(rendered):
    text = (rendered[0] / "site/models/alexnet/sections/class_visualization.html").read_text("utf-8")
    figures = re.findall(r"<figure.*?</figure>", text, re.S)
    assert len(figures) == 13
    for figure in figures:
        for part in ('class="caption"', 'class="mapping"', "arxiv.org/abs/1312.6034", "class_visualization.npz"):
            assert part in figure
        for fact in ("<code>weights</code>", "seed 42", "steps: 512", "c0ffee12", "sha256:5b2e9d0f1c", "cpu", "2.15.0"):
            assert fact in figure
    assert text.count('loading="lazy"') == 11


def test_a_page_of_very_many_figures_says_once_what_they_share(tmp_path, monkeypatch):
    def page() -> str:
        synthetic.render(results, models=["alexnet"], sections=["class_visualization"])
        return (results / "site/models/alexnet/sections/class_visualization.html").read_text("utf-8")

    results = synthetic.make_results(tmp_path)
    long = static.Page(page())
    monkeypatch.setattr("cnnviz.site.model_pages.MOST_DETAILED", 12)  # of 13 figures
    text = page()
    short, figures = static.Page(text), "".join(re.findall(r"<figure.*?</figure>", text, re.S))
    assert [image["alt"] for image in short.all("img")] == [image["alt"] for image in long.all("img")]
    assert text.count('class="caption"') == 13 == figures.count('href="#provenance"')
    for shared in ("arxiv.org/abs/1312.6034", "c0ffee12"):
        assert shared in text and shared not in figures


def test_rendering_again_writes_nothing(results):
    before = snapshot(results / "site")
    synthetic.render(results)
    assert snapshot(results / "site") == before


def test_timings_are_one_file_only(results):
    before = contents(results / "site")
    file = results / "benchmarks" / "alexnet" / "class_visualization.tsv"
    file.write_text(file.read_text().replace("12.5", "99.5"))
    synthetic.render(results)
    after = contents(results / "site")
    assert [name for name in after if after[name] != before[name]] == ["timings.js"]


def test_a_removed_section_takes_its_files_along_and_nothing_else(results):
    site = results / "site"
    (site / "CNAME").write_text("example.org")
    (site / "models" / "alexnet" / "mine.txt").write_text("mine")
    synthetic.render(results, sections=[s for s in SECTIONS if s != "cam"])
    assert not list(site.rglob("*cam*"))
    assert (site / "CNAME").exists() and (site / "models" / "alexnet" / "mine.txt").exists()
    assert static.problems(site) == []


def test_a_removed_model_takes_its_files_along(results):
    site = results / "site"
    synthetic.render(results, models=["alexnet"])
    assert not (site / "models" / "nasty-1").exists()
    assert (site / "models" / "alexnet" / "index.html").exists()


def test_partial_renders_what_exists(tmp_path):
    results = synthetic.make_results(tmp_path)
    (results / "models" / "nasty-1" / "model.json").unlink()
    (results / "logs" / "nasty-1" / "network.log").write_text("error: no such checkpoint /home/alice/net.pt\n")
    (results / "models" / "alexnet" / "sections" / "pca" / "figures.zip").write_bytes(b"cut sh")
    (results / "models" / "alexnet" / "forward" / "result.npz").unlink()
    models = [synthetic.config(id) for id in synthetic.MODELS]
    partial(results, models, synthetic.GALLERY | {"models": [*synthetic.MODELS, "third"]})
    manifest = json.loads((results / "site" / "manifest.json").read_text())
    assert [m["status"] for m in manifest["models"]] == ["ok", "missing", "missing"]
    assert manifest["models"][0]["accuracy"] == {}
    assert {s["id"]: s["status"] for s in manifest["models"][0]["sections"]}["pca"] == "missing"
    index = static.Page((results / "site" / "index.html").read_text("utf-8"))
    assert index.text.count("could not be loaded") == 2 and "third" in index.text
    model = static.Page((results / "site" / "models" / "nasty-1" / "index.html").read_text("utf-8"))
    assert "no such checkpoint net.pt" in model.text
    assert not list(results.rglob("model_pages.json")), "a stamp would hide from Snakemake that there is work left"


def test_commands_and_that_they_never_load_torch(tmp_path):
    results = synthetic.make_results(tmp_path)
    folder = results / "models" / "alexnet"
    code = "import runpy, sys; del sys.argv[0]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    code += "; assert 'torch' not in sys.modules"

    def command(module, config, *arguments):
        arguments = [f"cnnviz.site.{module}", "--config", json.dumps(config), "--out", results / "site", *arguments]
        subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)

    stamp, manifest = folder / "model_pages.json", results / "site" / "manifest.json"
    command(
        "model_pages", synthetic.config("alexnet"), "--model", folder / "model.json", "--sections", folder / "sections",
        "--stamp", stamp, "--log-folder", results / "logs" / "alexnet",
    )  # fmt: skip
    command(
        "index", synthetic.GALLERY | {"models": ["alexnet"]}, "--stamps", stamp, "--manifest", manifest,
        "--size", results / "site-size.json", "--benchmarks", results / "benchmarks",
    )  # fmt: skip
    assert json.loads(manifest.read_text())["models"][0]["id"] == "alexnet"
    stamp = json.loads(stamp.read_text())
    assert (results / "site" / stamp["cover"]["file"]).is_file() and "class_visualization" in stamp["cover"]["file"]


def test_pages_by_another_version_are_named(results):
    stamp = results / "pages.json"
    stamp.write_text(json.dumps({"schema": 0, "id": "alexnet"}))
    arguments = ["--config", json.dumps(synthetic.GALLERY), "--stamps", stamp, "--out", results / "site"]
    arguments += ["--manifest", results / "manifest.json", "--size", results / "size.json"]
    command = [sys.executable, "-m", "cnnviz.site.index", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "alexnet are by another version" in done.stderr and "Traceback" not in done.stderr


def test_unknown_widget_leaves_the_figures(results):
    path = results / "models" / "alexnet" / "sections" / "tsne_grid" / "section.json"
    path.write_text(path.read_text("utf-8").replace('"widget": "map"', '"widget": "no_such"'), "utf-8")
    synthetic.render(results)
    page = static.Page((results / "site/models/alexnet/sections/tsne_grid.html").read_text("utf-8"))
    assert len(page.all("figure")) == 1 and not page.all("canvas")
    assert static.problems(results / "site") == []


def test_files_that_hosts_refuse_are_left_out_and_named(results, monkeypatch):
    monkeypatch.setattr("cnnviz.site.model_pages.MOST_FILE", 100)
    synthetic.render(results)
    assert not list((results / "site" / "models" / "alexnet" / "data").rglob("*.npz"))
    page = (results / "site" / "models" / "alexnet" / "sections" / "pca.html").read_text("utf-8")
    assert "Not published" in page and ".npz" in page
    assert not list((results / "site").rglob("scatter.svg")) and "scatter.svg is not published" in page
    assert static.problems(results / "site") == []


def test_arrays_above_the_limit_of_the_config_stay_in_the_results_folder(results):
    folder = results / "models" / "alexnet"
    size = (folder / "sections" / "pca" / "result.npz").stat().st_size
    for limit in (size, size - 1):
        limited = synthetic.config("alexnet") | {"limits": {"download": limit / MB}}
        model_pages.render(limited, folder / "model.json", folder / "sections", results / "site")
        page = (results / "site" / "models" / "alexnet" / "sections" / "pca.html").read_text("utf-8")
        published = (results / "site" / "models" / "alexnet" / "data" / "pca.npz").is_file()
        assert published == ("data/pca.npz" in page) == ("limits.download" not in page) == (limit == size)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/alice/nets/a.pt", "a.pt"),
        ('File "/opt/x/y.py", line 3', 'File "y.py", line 3'),
        ("path=/data/x.npz:", "path=x.npz:"),
        ("in /home/alice and", "in ~ and"),
        ("C:\\Users\\alice\\net.pt", "net.pt"),
        ("~alice/net.pt", "net.pt"),
        ("step 8/255, and/or https://doi.org/10.1145/3065386", "step 8/255, and/or https://doi.org/10.1145/3065386"),
        ("results/models/a/model.json", "results/models/a/model.json"),
    ],
)
def test_redact(text, expected):
    assert redact(text) == expected
    assert redact({"a": [text]}) == {"a": [expected]}


def test_log_end_reads_any_bytes(tmp_path):
    (tmp_path / "x.log").write_bytes(b"\xff\xfe\x00\nlast\n")
    assert log_end(tmp_path / "x.log").endswith("last")
    assert log_end(tmp_path / "no.log") == log_end(None) == ""


def test_benchmarks_without_numbers(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.tsv").write_text("s\tmax_rss\n0.2\t-\n")
    (tmp_path / "m" / "b.tsv").write_text("s\tmax_rss\n")
    (tmp_path / "m" / "a.view.tsv").write_text("s\tmax_rss\n9\t9\n")
    assert timings.read(tmp_path) == {"m": {"a": {"seconds": 0.2}}}
    assert timings.read(None) == timings.read(tmp_path / "none") == {}


def test_publication_stays_inside_and_deletes_only_after_success(tmp_path):
    out = tmp_path / "site"
    with Publication(out, "a") as site:
        site.write("x/1.txt", "1")
        site.write("x/2.txt", "2")
        for address in ("../evil", "/evil", "x/../../evil", "x\\evil"):
            with pytest.raises(ValueError, match="outside"):
                site.write(address, "")
    with pytest.raises(RuntimeError), Publication(out, "a") as site:
        site.write("x/1.txt", "new")
        raise RuntimeError
    assert (out / "x/2.txt").exists()
    withdraw(out, set())
    assert not (out / "x").exists() and not list((tmp_path / "site-files").iterdir())


def test_words():
    assert [number(v) for v in (3, 12345, 0.5, 2.0, 1e-7, "x")] == ["3", "12\u2009345", "0.5", "2", "1e-7", "x"]
    assert plain({"a": [1, [2, 3]], "b": None, "c": True}) == "a: 1, (2, 3), b: none, c: yes"
    assert short({"authors": "A. Krizhevsky, I. Sutskever", "year": 2012}) == "Krizhevsky et al. 2012"
    assert short({"authors": "B. Efron", "year": 1979}) == "Efron 1979"


def test_pictures_that_could_not_be_read_are_listed_with_the_reason(tmp_path):
    results = synthetic.make_results(tmp_path / "results")
    skipped = [{"name": "a/<b>.png", "reason": "UnidentifiedImageError: cannot identify '/home/someone/set/a/b.png'"}]
    synthetic.add_images(results, [], skipped)
    synthetic.render(results, tmp_path / "site")
    page = (tmp_path / "site" / "missing.html").read_text()
    assert "a/&lt;b&gt;.png" in page and "UnidentifiedImageError" in page and "someone" not in page
    assert "Pictures left out" in page and "something odd" not in page
    model = static.Page((tmp_path / "site" / "models" / "alexnet" / "index.html").read_text())
    assert "../../missing.html#skipped-set" in [a["href"] for a in model.all("a")]
    assert static.problems(tmp_path / "site") == []


def test_notes_on_odd_pictures_are_listed(tmp_path):
    synthetic.make_results(tmp_path)
    path = synthetic.add_images(tmp_path, [{"name": "odd.png"}])
    path.write_text(path.read_text()[:-1] + ', "notes": [{"name": "odd.png", "reason": "its box is left out"}]}')
    synthetic.render(tmp_path)
    page = static.Page((tmp_path / "site" / "missing.html").read_text("utf-8"))
    assert "1 note on pictures" in page.text and "its box is left out" in page.text
    assert static.problems(tmp_path / "site") == []
    synthetic.render(tmp_path, publish="derived")
    page = static.Page((tmp_path / "site" / "missing.html").read_text("utf-8"))
    assert "1 note on pictures" in page.text and "odd.png" not in page.text
