from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ifan.models.catalogue import CatalogueEntry, PublishedScore, catalogue, find
from ifan.models.configuration import Configuration

RELEASED = ["IFAN", "IFAN_8", "IFAN_26", "IFAN_35", "IFAN_44", "IFAN_16bit", "IFAN_dual"]


def entry(name: str) -> CatalogueEntry:
    found = find(name)
    assert found is not None
    return found


def test_holds_the_bundled_models_and_the_seven_released_ones() -> None:
    assert [e.name for e in catalogue()] == ["ifan-s", "ifan-m", *RELEASED]


def test_is_read_once() -> None:
    assert catalogue() is catalogue()


def test_names_differ_even_without_case() -> None:
    assert len({e.name.casefold() for e in catalogue()}) == len(catalogue())


@pytest.mark.parametrize("name", ["IFAN_16bit", "ifan_16BIT", "IFAN_16BIT"])
def test_finds_in_any_case(name: str) -> None:
    assert entry(name).name == "IFAN_16bit"


def test_finds_nothing_for_an_unknown_name() -> None:
    assert find("IFAN_99") is None


@pytest.mark.parametrize(("name", "width", "iterations"), [("ifan-s", 16, 8), ("ifan-m", 32, 17)])
def test_bundled_model(name: str, width: int, iterations: int) -> None:
    bundled = entry(name)
    assert bundled.origin == "bundled"
    assert bundled.file == name
    assert bundled.terms == "Apache-2.0"
    assert bundled.sample_bits == 8
    assert bundled.address is None
    assert bundled.configuration == Configuration(
        width=width,
        iterations=iterations,
        dual_pixel=False,
        shared_filters=False,
        output_activation=False,
    )


@pytest.mark.parametrize("name", RELEASED)
def test_released_model(name: str) -> None:
    released = entry(name)
    assert released.origin == "released"
    assert released.file == f"{name}.pytorch"
    assert released.mode == name
    assert released.address is not None
    assert released.address.startswith("https://")
    assert released.terms == "AGPL-3.0"
    assert released.configuration.shared_filters
    assert released.configuration.output_activation
    assert released.configuration.width == 32
    assert released.sample_bits == (16 if name == "IFAN_16bit" else 8)
    assert released.configuration.dual_pixel == (name == "IFAN_dual")


@pytest.mark.parametrize(
    ("name", "iterations"), list(zip(RELEASED, [17, 8, 26, 35, 44, 17, 17], strict=True))
)
def test_iterations(name: str, iterations: int) -> None:
    assert entry(name).configuration.iterations == iterations


@pytest.mark.parametrize(
    ("name", "network", "config"),
    [
        ("IFAN", "IFAN", "config_IFAN"),
        ("IFAN_44", "IFAN", "config_IFAN_44"),
        ("IFAN_16bit", "IFAN", "config_IFAN_16bit"),
        ("IFAN_dual", "IFAN_dual", "config_IFAN"),
    ],
)
def test_arguments_of_the_released_code(name: str, network: str, config: str) -> None:
    assert (entry(name).network, entry(name).config) == (network, config)


def test_only_models_with_published_scores_have_scores() -> None:
    assert {e.name for e in catalogue() if e.scores} == {"IFAN", "IFAN_dual"}


def test_scores_say_what_is_verified() -> None:
    scores = entry("IFAN").scores
    assert {(s.dataset, s.psnr, s.ssim) for s in scores if s.verified} == {
        ("DPDD", 25.366, 0.789),
        ("RealDOF", 24.712, 0.748),
    }
    assert not any(s.verified for s in entry("IFAN_dual").scores)
    assert all(s.mae is None and s.lpips is None for s in scores if s.verified)


def test_entries_survive_a_round_trip_through_json() -> None:
    for e in catalogue():
        assert CatalogueEntry.model_validate(json.loads(e.model_dump_json())) == e


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        entry("IFAN").terms = "none"  # type: ignore[misc]


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="licence"):
        CatalogueEntry.model_validate(entry("IFAN").model_dump() | {"licence": "none"})
    with pytest.raises(ValidationError, match="fid"):
        PublishedScore.model_validate(entry("IFAN").scores[0].model_dump() | {"fid": 1.0})


@pytest.mark.parametrize("field", ["address", "mode", "network", "config"])
def test_a_released_model_needs_its_origin(field: str) -> None:
    with pytest.raises(ValidationError, match="belong to all released models"):
        CatalogueEntry.model_validate(entry("IFAN").model_dump() | {field: None})


def test_a_bundled_model_has_no_address() -> None:
    with pytest.raises(ValidationError, match="no bundled one"):
        CatalogueEntry.model_validate(entry("ifan-s").model_dump() | {"address": "https://a.b/c"})


def test_iterations_agree_with_the_layout_of_released_checkpoints() -> None:
    path = Path(__file__).parents[1] / "golden" / "checkpoint_layout.json"
    layouts = json.loads(path.read_text(encoding="utf-8"))
    for name, layout in layouts.items():
        # The largest tensor ends the filter predictor: N times (3 + 3 taps and a bias) x 128.
        outputs = max(shape[0] for shape in layout["tensors"].values() if shape)
        assert outputs == entry(name).configuration.iterations * 7 * 128
