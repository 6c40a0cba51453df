"""What `ifan train` says before anything is trained."""

from ifan.training.recipe import recipe_names


def test_the_recipes_are_listed_with_what_they_are(ifan):
    lines = ifan("train", "--recipes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert all(line.endswith(".") for line in lines)


def test_a_missing_package_is_named_with_its_remedy(ifan, tmp_path):
    package = tmp_path / "without" / "numba"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ModuleNotFoundError('gone', name='numba')")
    without = {"PYTHONPATH": str(package.parent)}
    for arguments in (["--recipes"], ["smoke"]):
        said = ifan("train", *arguments, status=1, environment=without).stderr
        assert said == "numba: is not installed; install it with: pip install 'ifan[train]'\n"


def test_an_unknown_key_is_bad_before_anything_is_made(ifan, folder):
    said = ifan("train", "smoke", "--set", "optimiser.name=adam", status=1).stderr
    assert "optimiser: there is no such key" in said
    assert not list(folder.iterdir())
