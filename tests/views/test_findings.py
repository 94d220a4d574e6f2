"""What counts as found, and the intervals behind it, beside scipy's."""

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp

from cnnviz.site import ranking as site
from cnnviz.site.stamp import Entry, Stamp
from cnnviz.views.kit import before_training, findings
from cnnviz.views.kit.findings import FOUND, NOT, WEAK, Finding, Measured


@pytest.mark.parametrize("n", [2, 3, 12, 400])
def test_the_interval_of_a_mean_is_students(n):
    values = np.random.default_rng(n).normal(size=n)
    ends = ttest_1samp(values, 0).confidence_interval(0.95)
    assert findings.mean_interval(values) == pytest.approx((values.mean(), ends.low, ends.high))


def test_nothing_can_be_said_of_one_picture():
    assert findings.mean_interval([3]) == (3, -np.inf, np.inf)


def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says():
    rng, z = np.random.default_rng(0), norm.ppf(0.975)
    held = 0
    for a, b in zip(rng.normal(0.5, 0.1, 2000), rng.normal(0.2, 0.05, 2000), strict=True):
        one, other = (Measured("", v, v - z * s, v + z * s) for v, s in ((a, 0.1), (b, 0.05)))
        _, low, high = findings.difference(one, other)
        held += low <= 0.3 <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_how_sure_a_finding_is():
    assert [findings.strength(*ends, margin=0.1) for ends in ((0.2, 0.4), (0.05, 0.4), (-0.1, 0.4))] == [
        FOUND,
        WEAK,
        NOT,
    ]
    assert findings.strength(-0.4, -0.2) == NOT


def test_a_finding_needs_an_interval_or_a_control():
    with pytest.raises(ValueError, match="neither an interval nor a control"):
        Finding("a", "It is so.", FOUND)
    with pytest.raises(ValueError, match="strength"):
        Finding("a", "It is so.", "certain", control="the pixels: 3 %")


@pytest.mark.parametrize(("share", "text"), [(1, "100"), (0, "0"), (0.143, "14"), (0.9984, "99.8"), (0.002, "0.2")])
def test_a_share_is_not_rounded_to_all_or_nothing(share, text):
    assert findings.percent(share) == f"{text}\u00a0%"


def test_an_interval_of_shares_has_its_unit_once():
    assert findings.between(0.7, 0.849) == "70 to 85\u00a0%"


def model(title: str, **sections) -> Stamp:
    """A stamp. sections: id → {key: (effect, strength, caution)}."""
    entries = []
    for id, found in sections.items():
        measured = {key: vars(Measured(f"{e:.0%}", e, e - 0.05, e + 0.05)) for key, (e, *_) in found.items()}
        listed = [
            {"section": id, "key": key, "says": f"{id} {key}", "strength": s, "caution": c, "effect": e, "tiles": []}
            | {"interval": f"about {e:.0%}"}
            for key, (e, s, c) in found.items()
        ]
        entries.append(Entry(id, id, id, "ok", measured=measured, findings=listed))
    return Stamp(title, title, sections=entries)


def test_cautions_lead_then_what_is_found_then_the_larger_effect():
    one = model("a", x={"k": (0.9, FOUND, False)}, y={"k": (0.2, NOT, True), "l": (0.1, FOUND, True)})
    one.sections.append(model("", z={"k": (0.95, WEAK, False)}).sections[0])
    assert [f["says"] for f in site.strongest(one.sections)] == ["y k", "x k", "z k", "y l"]


def test_a_model_page_answers_both_questions_of_trust():
    one = model("a", bias_probe={"wolf": (0.9, FOUND, True)}, attribution_check={"lime": (0.1, NOT, False)}, x={})
    top = site.strongest(one.sections)[:1]
    assert [f["section"] for f in top] == ["bias_probe"]
    assert [f["section"] for f in site.trust(one.sections, top)] == ["attribution_check"]
    assert [f["section"] for f in site.trust(one.sections, [])] == ["bias_probe", "attribution_check"]


def test_the_front_page_leads_with_what_the_models_differ_in():
    biased = model("a", bias={"wolf": (0.9, FOUND, True)}, fooled={"all": (1.0, FOUND, True)})
    twin = model("b", bias={"wolf": (0.2, NOT, True)}, fooled={"all": (0.99, FOUND, True)})
    lead = site.lead([twin, biased])
    assert (lead["model"], lead["says"], lead["others"]) == ("a", "bias wolf", [{"title": "b", "said": "20%"}])
    assert site.lead([twin])["says"] == "fooled all"
    assert site.lead([model("c", bias={"wolf": (0.1, NOT, True)})]) is None


def test_two_models_are_told_apart_by_their_largest_sure_differences():
    one = model("a", x={"k": (0.9, FOUND, False), "l": (0.3, FOUND, False)}, y={"m": (0.5, FOUND, False)})
    other = model("b", x={"k": (0.2, NOT, False), "l": (0.3, FOUND, False)}, y={"m": (0.48, FOUND, False)})
    rows = site.differences(one, other)
    assert [(row["key"], row["sure"]) for row in rows] == [("k", True), ("m", False)]
    assert rows[0]["gap"] == pytest.approx(0.7) and rows[0]["low"] < 0.7 < rows[0]["high"]


def test_an_interval_in_words():
    assert findings.between(0.1, 0.2) == "10 to 20\u00a0%"


def test_the_front_page_says_whose_an_interval_is():
    one, other = model("a", x={"k": (0.9, FOUND, True)}), model("b", x={"k": (0.1, NOT, True)})
    assert site.lead([one, other])["interval"] == "about 90%"
    other.sections[0].measured["k"]["interval"] = "5 to 15%"
    assert site.lead([one, other])["interval"] == "about 90% (a); 5 to 15% (b)"


def test_the_interval_of_one_number_can_be_written():
    mean, low, high = findings.mean_interval([0.4])
    measured = Measured("", mean, low, high)
    assert (measured.low, measured.high) == (-1, 1)


def test_a_model_with_other_tiles_does_not_stop_the_front_page():
    one, other = model("a", x={"k": (0.9, FOUND, True)}), model("b", x={"k": (0.1, NOT, True)})
    one.sections[0].findings[0]["tiles"] = [{"place": i, "label": str(i), "value": 0.5} for i in range(2)]
    one.sections[0].measured["k"]["values"] = (0.5, 0.5)
    for values, models in (((0.2, 0.3), 2), ((0.2,), 1), ((), 1)):
        other.sections[0].measured["k"]["values"] = values
        assert [len(tile["models"]) for tile in site.lead([one, other])["tiles"]] == [models] * 2


def test_a_small_difference_from_one_draw_of_random_weights_is_not_found():
    pixels = np.zeros(1000)
    for own, trained, alone in ((0.14, NOT, WEAK), (0.5, FOUND, WEAK), (0.0, NOT, NOT)):
        shares = np.repeat([1.0, 0.0], [round(1000 * own), 1000 - round(1000 * own)])
        random = np.repeat([1.0, 0.0], [100, 900])
        assert before_training.apart(shares, {"pixels": pixels, "untrained": random}, own, 0.05)[1] == trained
        assert before_training.apart(shares, {"pixels": pixels}, own, 0.05)[1] == alone
