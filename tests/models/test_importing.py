"""Models that are imported and downloaded."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from ifan.errors import DownloadError, ModelError, OutputError
from ifan.models import (
    importing,
    load_released_checkpoint,
    open_model,
    save_released_checkpoint,
    save_safetensors,
)
from ifan.models.importing import download_model, import_model
from ifan.models.store import available_models
from ifan.networks import ReblurringNetwork
from small_models import BUNDLED, assert_weights_of, of_the_catalogue, small_network

# --- import ------------------------------------------------------------------------------------


def test_imports_under_the_home_folder(released, home):
    model = import_model(released)
    assert model.weights == home / "models" / "mine" / "model.safetensors"
    assert_weights_of(open_model("mine"), small_network())
    assert [m.name for m in available_models()] == [*BUNDLED, "mine"]


def test_imports_under_a_name_of_its_own_with_its_samples(released):
    import_model(released, "v1.2-night_shots", sample_bits=16)
    model = open_model("v1.2-night_shots")
    assert model.description.sample_bits == 16
    assert model.description.configuration.shared_filters


def test_a_released_name_brings_what_the_catalogue_knows(tmp_path):
    model = import_model(of_the_catalogue("IFAN_16bit", tmp_path), "ifan_16BIT")
    assert model.name == model.entry.name == "IFAN_16bit"
    assert model.description.sample_bits == 16
    assert open_model("IFAN_16bit").weights == model.weights


def test_another_network_is_not_imported_as_a_released_one(released, home):
    with pytest.raises(ModelError, match=r"is another network than IFAN_8: width=1 .* --name"):
        import_model(released, "IFAN_8")
    assert list(home.iterdir()) == []


def test_what_is_listed_can_be_opened(home, released):
    """Whatever somebody has put into the folder of models by hand."""
    import_model(released)
    for name in ("my model", "ifan-s"):
        save_safetensors(made(home / "models" / name) / "model.safetensors", small_network())
    assert [model.name for model in available_models()] == [*BUNDLED, "mine"]
    assert [open_model(model.name).weights for model in available_models()] == [
        model.weights for model in available_models()
    ]


def made(folder):
    folder.mkdir()
    return folder


def test_import_keeps_the_reblurring_network_and_the_samples(tmp_path):
    path = tmp_path / "both.safetensors"
    save_safetensors(path, small_network(), ReblurringNetwork(1, 1, 2), sample_bits=16)
    model = import_model(path)
    assert model.checkpoint.reblurring.reblurring_iterations == 2
    assert model.description.sample_bits == 16


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b", "-x"])
def test_names_that_cannot_be_are_refused(released, home, name):
    with pytest.raises(ModelError, match="cannot be the name of an imported model; give --name"):
        import_model(released, name)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", ["ifan-s", "IFAN-M"])
def test_a_bundled_model_is_not_replaced(released, home, name):
    with pytest.raises(ModelError, match=f"{name}: is the name of a bundled model; give it ano"):
        import_model(released, name)
    assert list(home.iterdir()) == []


def test_an_imported_model_is_replaced_only_when_asked(tmp_path, released):
    import_model(released, "mine")
    other = tmp_path / "other.pth"
    network = small_network()
    network.reconstructor.output.bias.data.fill_(5)
    save_released_checkpoint(other, network)
    with pytest.raises(OutputError, match="already exists"):
        import_model(other, "mine")
    assert_weights_of(open_model("mine"), small_network())
    import_model(other, "mine", overwrite=True)
    assert_weights_of(open_model("mine"), network)


def test_what_is_no_checkpoint_is_not_imported(tmp_path, home):
    path = tmp_path / "notes.txt"
    path.write_text("hello world")
    with pytest.raises(ModelError):
        import_model(path)
    assert list(home.iterdir()) == []


def test_a_folder_that_a_failed_import_left_is_no_model(home, released):
    (home / "models" / "mine").mkdir(parents=True)
    assert [m.name for m in available_models()] == BUNDLED
    (home / "models" / "yours" / "model.safetensors").mkdir(parents=True)
    assert [m.name for m in available_models()] == BUNDLED
    with pytest.raises(ModelError, match="neither a file nor a model that is known"):
        open_model("mine")
    import_model(released)
    assert [m.name for m in available_models()] == [*BUNDLED, "mine"]


# --- download ----------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path, serve):
    """The address and path of a zip, served over HTTP, that holds two checkpoints."""
    folder = made(tmp_path / "served")
    path = folder / "checkpoints.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for name in ("IFAN_8", "IFAN_16bit"):
            file = of_the_catalogue(name, tmp_path)
            zipped.write(file, f"checkpoints/{file.name}")
    return f"{serve(folder)}/checkpoints.zip", path


def test_downloads_and_imports(archive, home, tmp_path):
    address, path = archive
    seen = []
    fetched = download_model("ifan_16bit", address=address, progress=lambda *a: seen.append(a))
    assert fetched.archive.read_bytes() == path.read_bytes()
    assert fetched.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert seen[-1] == (path.stat().st_size,) * 2
    model = open_model("IFAN_16bit")
    assert model.weights == fetched.model.weights
    assert model.description.sample_bits == 16
    assert_weights_of(model, load_released_checkpoint(tmp_path / "IFAN_16bit.pytorch").network)
    assert list((home / "downloads").iterdir()) == [fetched.archive]


def test_another_address_has_an_archive_of_its_own(archive):
    address, _ = archive
    download_model("IFAN_8", address=address)
    with pytest.raises(DownloadError, match="404"):
        download_model("IFAN_16bit", address=f"{address}.other")


def test_a_download_that_fails_says_what_to_import_out_of_the_archive(archive):
    address, _ = archive
    with pytest.raises(DownloadError) as failure:
        download_model("IFAN_8", address=f"{address}.other")
    assert "unpack it, and run `ifan models import IFAN_8.pytorch`" in failure.value.remedy


def test_the_archive_serves_the_other_checkpoints_too(archive):
    address, path = archive
    download_model("IFAN_8", address=address)
    path.unlink()
    download_model("IFAN_16bit", address=address)
    assert [m.name for m in available_models()] == [*BUNDLED, "IFAN_16bit", "IFAN_8"]


def damage_in_the_middle(archive):
    content = bytearray(archive.read_bytes())
    content[len(content) // 4] ^= 0xFF
    archive.write_bytes(content)


def cut_short(archive):
    archive.write_bytes(archive.read_bytes()[:1000])


def with_another_network(archive):
    file = archive.with_name("other.pytorch")
    save_released_checkpoint(file, small_network())
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(file, "IFAN_8.pytorch")


def with_no_checkpoint(archive):
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("IFAN_8.pytorch", "not found")


def with_other_files(archive):
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("README.md", "moved")


@pytest.mark.parametrize(
    "spoil",
    [damage_in_the_middle, cut_short, with_another_network, with_no_checkpoint, with_other_files],
)
def test_a_spoilt_archive_is_replaced_by_the_next_download(archive, home, spoil):
    address, path = archive
    whole = path.read_bytes()
    spoil(path)
    with pytest.raises((DownloadError, ModelError), match=r"run it again to download the archive"):
        download_model("IFAN_8", address=address)
    assert list((home / "downloads").iterdir()) == []
    path.write_bytes(whole)
    fetched = download_model("IFAN_8", address=address)
    assert fetched.archive.read_bytes() == whole
    assert open_model("IFAN_8").weights == fetched.model.weights


def test_an_archive_with_the_right_checksum_stays_whatever_it_holds(archive, home):
    address, path = archive
    with_other_files(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DownloadError, match=r"does not hold IFAN_8\.pytorch.*right archive$"):
        download_model("IFAN_8", address=address, sha256=sha256)
    assert len(list((home / "downloads").iterdir())) == 1


def test_an_archive_stays_if_something_else_is_in_the_way(archive, home):
    address, path = archive
    (home / "models").mkdir()
    (home / "models" / "IFAN_8").touch()
    with pytest.raises(OutputError, match=r"models/IFAN_8: "):
        download_model("IFAN_8", address=address)
    (kept,) = (home / "downloads").glob("*.zip")
    assert kept.read_bytes() == path.read_bytes()


def test_several_that_download_a_model_at_once_all_get_it(archive, home, monkeypatch):
    address, path = archive
    both_have_it = threading.Barrier(2, timeout=60)

    def imported(*arguments):
        both_have_it.wait()
        return import_model(*arguments)

    monkeypatch.setattr(importing, "import_model", imported)
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(download_model, "IFAN_8", address=address) for _ in range(2)]
        fetched = [each.result() for each in asked]
    for each in fetched:
        assert each.model.weights == home / "models" / "IFAN_8" / "model.safetensors"
        assert each.model.parameters == open_model("IFAN_8").parameters
    assert [kept.read_bytes() for kept in (home / "downloads").iterdir()] == [path.read_bytes()]


def test_what_is_here_is_not_downloaded_again(archive):
    address, _ = archive
    download_model("IFAN_8", address=address)
    with pytest.raises(OutputError, match="is there already"):
        download_model("ifan_8", address=address)


def test_a_wrong_checksum_or_archive_imports_nothing(archive):
    address, _ = archive
    with pytest.raises(DownloadError):
        download_model("IFAN_8", address=address, sha256="0" * 64)
    with pytest.raises(DownloadError, match=r"does not hold IFAN_44\.pytorch"):
        download_model("IFAN_44", address=address)
    assert [m.name for m in available_models()] == BUNDLED


@pytest.mark.parametrize("name", [*BUNDLED, "nonsense"])
def test_only_released_models_are_downloaded(name):
    with pytest.raises(ModelError, match=r"is no model that is downloaded; choose one of IFAN, "):
        download_model(name)


def test_download_says_first_that_pytorch_is_missing(without, home):
    without("torch")
    with pytest.raises(ModelError, match="needs PyTorch"):
        download_model("IFAN")
    assert list(home.iterdir()) == []
