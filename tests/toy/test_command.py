"""The command from one end to the other, small."""

import json
import os

import pytest
from PIL import Image

from backend.cli.main import main
from backend.guidance.rules import RULES
from backend.studies.toy.findings import _more_modes

FIGURES = {"fig08.png"} | {
    f"{name}.png"
    for prior in ("trained", "exact")
    for name in (f"fig05-{prior}-annealed", *(f"fig{n}-{prior}" for n in ("04", "05", "10", "11", "12", "14")))
}


def run(*arguments):
    return main(["toy", *map(str, arguments)])


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """SDS and JSD, twelve seeds, eleven steps, three epochs."""
    out = tmp_path_factory.mktemp("toy") / "out"
    small = ["--seeds", 12, "--steps", 11, "--epochs", 3, "--objective", "sds", "--objective", "jsd"]
    assert run("--out", out, *small) == 0
    return out


@pytest.fixture(scope="module")
def data(out):
    return json.loads((out / "toy.json").read_text())


def test_every_figure_is_written(out):
    assert {path.name for path in out.iterdir()} == FIGURES | {"toy.json", "network.safetensors"}
    for name in FIGURES:
        colours = Image.open(out / name).convert("RGB").getcolors(1 << 24)
        assert sum(count for count, _ in sorted(colours)[:-1]) > 0.02 * sum(count for count, _ in colours), name


def test_the_tables_have_a_row_for_each_rule(data):
    names = {"sds", "jsd", "jsd-released"}
    for table in (data, data["exact"]):
        for key in ("correlation", "gradient_variance", "mode_entropy", "negative_log_likelihood"):
            assert set(table[key]) == names
        assert all(-1 <= value <= 1 for value in table["correlation"].values())
        assert all(value > 0 for value in table["gradient_variance"].values())
        assert set(table["mode_entropy"]["sds"]) == {"-1,1", "1,-1", "-1,-1"}
        assert set(table["mode_entropy"]["sds"]["-1,1"]) == {"10", "12"}
    assert data["settings"]["seeds"] == 12
    assert data["left_out"] == {}
    assert data["divergences"]["KLD"][0] is None
    assert data["divergences"]["JSD"][0] == pytest.approx(0.69315)


def test_counts_and_shares_belong_together(data):
    for name, by_start in data["exact"]["mode_counts"].items():
        for start, by_seeds in by_start.items():
            share = data["exact"]["landed"][name][start]["12"]
            assert sum(by_seeds["12"]) == pytest.approx(12 * share, abs=1e-3)


def test_findings_are_what_the_tables_say(data):
    first = data["findings"]["exact"][0]
    table = data["exact"]["correlation"]
    assert (first["sds"], first["jsd"]) == (table["sds"], table["jsd"])
    assert first["confirmed"] == (table["jsd"] > 0.5 and abs(table["sds"]) < 0.2)
    ten = next(claim for claim in data["findings"]["exact"] if "ten steps a seed" in claim["claim"])
    assert not ten["confirmed"]


@pytest.mark.parametrize(("sds", "jsd", "holds"), [(0, 1, False), (0, 2, True), (2, 2, False), (3, 5, True)])
def test_one_mode_is_not_several(sds, jsd, holds):
    """A rule that never leaves its start's mode has reached one, which is more than none and no diversity."""
    table = {"modes_reached": {"sds": {"-1,1": {"10": 9, "100": sds}}, "jsd": {"-1,1": {"10": 0, "100": jsd}}}}
    assert _more_modes("", table)["confirmed"] is holds


def test_a_second_run_in_the_same_folder(out, capsys):
    trained = (out / "network.safetensors").stat().st_mtime_ns
    small = ["--seeds", 2, "--steps", 1, "--epochs", 3, "--objective", "sds"]
    assert run("--out", out, *small) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("--out", out, *small, "--overwrite") == 0
    assert (out / "network.safetensors").stat().st_mtime_ns == trained
    again = json.loads((out / "toy.json").read_text())
    assert set(again["correlation"]) == {"sds"}
    assert again["findings"] == {"trained": [], "exact": []}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--seeds", 0], "seeds"),
        (["--seeds", 1001], "seeds"),
        (["--steps", -3], "steps"),
        (["--epochs", 0], "epochs"),
        (["--objective", "magic"], "magic"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path, arguments, name, capsys):
    assert run("--out", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert name in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_folders_that_cannot_be_used(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", "/proc/splatsmith", os.devnull):
        assert run("--out", out) == 2
        error = capsys.readouterr().err.strip()
        assert str(out) in error
        assert len(error.splitlines()) == 1


def test_without_names_every_objective_is_run():
    from backend.studies.toy.command import _checked

    assert _checked(1, 1, 1, []) == tuple(RULES)
    assert _checked(1, 1, 1, ["jsd", "sds", "jsd"]) == ("jsd", "sds")
