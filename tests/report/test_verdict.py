"""The verdict cards' words."""

from helpers.fakes import make_detector

from sedid.data.audit import CONTENT, FORMAT, Probe, _warning
from sedid.report.verdict import leak_warning


def test_the_leak_audit_is_said_in_words_a_student_understands() -> None:
    probes = [Probe("border", FORMAT, 0.91, 0.03), Probe("brightness and contrast", CONTENT, 0.75, 0.02)]
    detector = make_detector()
    detector.info["stat"] = {"leak_warning": _warning(probes)}  # what is stored with a calibration
    said = leak_warning(detector, "stat")
    assert "by border 91 times, by brightness and contrast 75 times in 100" in said
    assert "AUC" not in said
    probes = [Probe("JPEG blocks", FORMAT, 0.99, 0.01), *probes]
    detector.info["stat"] = {"leak_warning": _warning(probes)}
    assert ": by JPEG blocks 99 times, by border 91 times, by" in leak_warning(detector, "stat")
    detector.info["stat"] = {"leak_warning": "Other words. And more."}
    assert leak_warning(detector, "stat") == "Other words"
    assert leak_warning(detector, "other") == ""
