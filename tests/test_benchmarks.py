"""The benchmarks that call a job by hand call it as it is called today; their figures are not tested here."""

from benchmarks import memory


def test_the_forward_pass_is_measured_to_its_end():
    assert memory.peak(20) > 0
