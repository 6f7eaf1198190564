"""Comparisons from Python."""

import json

import pytest

import warpframe as wf


@pytest.fixture(scope="module")
def report():
    return wf.compare(rows=20_000, modes=["interpreted", "parallel", "cuda"], peers=["numpy", "warpframe-numpy"], repeat=2,
                      progress=False)


def test_times(report):
    by_name = {mode["mode"]: mode for mode in report.modes}
    assert list(by_name) == ["interpreted", "parallel", "cuda", "warpframe-numpy", "numpy"]
    for name in ["interpreted", "parallel", "warpframe-numpy", "numpy"]:
        assert by_name[name]["status"] == "ok" and by_name[name]["median_ms"] > 0, by_name[name]
    assert report.failures == ""
    assert "parallel" in str(report) and json.loads(report.to_json()) == report.document


def test_drawing(report, tmp_path):
    drawing = report.plot()
    assert drawing._repr_svg_().startswith("<svg") and "warpframe-numpy" in drawing.svg
    drawing.save(tmp_path / "a.svg")
    drawing.save(tmp_path / "a.png")
    assert (tmp_path / "a.svg").read_text() == drawing.svg and (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"
    with pytest.raises(ValueError, match="neither the extension"):
        drawing.save(tmp_path / "a.pdf")


def test_sweep():
    report = wf.compare("x + y", rows=10_000, modes=["columnar", "parallel"], repeat=1, sweep=True, progress=False)
    assert [mode["rows"] for mode in report.modes] == [1_000, 1_000, 10_000, 10_000]


@pytest.mark.parametrize("arguments, message", [
    ({"expr": "lnn(x)"}, "lnn"),
    ({"modes": ["fast"]}, "fast"),
    ({"rows": 0}, "0"),
    ({"peers": ["nunpy"]}, "no peer 'nunpy'"),
])
def test_arguments_that_are_not_valid(arguments, message):
    with pytest.raises((ValueError, wf.WarpframeError), match=message):
        wf.compare(**{"rows": 1000, "repeat": 1, "progress": False, **arguments})
