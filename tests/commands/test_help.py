from importlib.metadata import version

import pytest

from ifan import __version__
from ifan.commands.doctor import doctor
from ifan.engines import selection
from ifan.engines.selection import ENGINES, INSTALL, choose, installed


def test_version_and_what_can_be_done(ifan):
    assert ifan("--version").stdout == f"ifan {__version__}\n"
    said = ifan("--help").stdout
    commands = (
        "deblur",
        "defocus-map",
        "models",
        "data",
        "train",
        "evaluate",
        "serve",
        "benchmark",
    )
    for command in (*commands, "doctor"):
        assert f"\n  {command} " in said
    assert ifan("-h").stdout == said
    # Nothing asked is bad use, and answered with help.
    assert "doctor" in "".join(ifan(status=2).stdout + ifan(status=2).stderr)
    assert "No such command" in ifan("sharpen", status=2).stderr


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "deblur",
            "--output -o --model --engine --precision --strength --working-size --passes --left"
            " --right --recursive --overwrite --compare --verbose --name --format --page"
            " --max-pixels --report",
        ),
        (
            "defocus-map",
            "--output -o --model --engine --precision --working-size --overwrite --page"
            " --max-pixels",
        ),
        (
            "serve",
            "--host --port --api-key --model --engine --precision --places --max-upload"
            " --max-pixels --timeout --keep --allow-origin --verbose",
        ),
        ("doctor", "--help"),
        ("models", "list show import export download"),
        ("models import", "--name --sample-bits --overwrite"),
        ("models export", "--output -o --overwrite"),
        ("models download", "--address --sha256"),
        ("data list", "--root"),
        ("data download", "--root --address --sha256 --keep"),
        (
            "evaluate",
            "--data --root --split --model -m --predictions --compare --protocol --bits --log-root"
            " --mode --engine --precision --again --alone",
        ),
        (
            "data simulate",
            "--photos --out -o --scenes --size --seed --processes --depths --max-radius --sharp"
            " --bits",
        ),
        ("data check", "--split --crop --no-views"),
        ("data prepare", "--out -o --split --bits --shards --shard-size"),
        ("train", "--set --resume --log-root --workers --accelerator --wandb --recipes"),
    ],
)
def test_help_names_every_option(ifan, command, options):
    words = ifan(*command.split(), "--help").stdout.replace(",", " ").split()
    assert set(options.split()) <= set(words)


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("lightning-fabric", "train", "train"),
        ("scikit-image", "evaluate", "evaluate"),
        ("fastapi", "serve", "serve"),
        ("ray", "cluster", "batch"),
    ],
)
def test_the_doctor_says_how_to_get_what_a_command_needs(
    monkeypatch, capsys, package, extra, command
):
    def row():
        doctor()
        lines = capsys.readouterr().out.splitlines()
        (line,) = [line for line in lines if line.split()[:1] == [package]]
        return line

    assert version(package) in row()
    assert row().endswith(f", for ifan {command}")
    monkeypatch.setattr(selection, "version", lambda name: None if name == package else "1.0")
    assert f"missing: pip install 'ifan[{extra}]', for ifan {command}" in row()


def test_the_doctor_says_what_is_here_and_what_will_be_used(ifan, monkeypatch, folder):
    monkeypatch.setenv("IFAN_HOME", str(folder / "home"))
    said = ifan("doctor").stdout
    for name in ENGINES:
        (line,) = [line for line in said.splitlines() if line.strip().startswith(f"{name} ")]
        assert ("fp32" if installed(name) else INSTALL[name]) in line
    assert str(folder / "home" / "models") in said
    choice = choose()
    assert said.splitlines()[-1] == (
        f"used by default: ifan-s with {choice.engine} on {choice.device} in {choice.precision}, "
        f"because {choice.reason}"
    )


def test_the_doctor_tells_the_memory_that_a_container_leaves(monkeypatch, capsys):
    monkeypatch.setattr("ifan.engines.memory.available_memory", lambda: 1_234_000_000)
    doctor()
    assert "memory: 1.2 GB free of " in capsys.readouterr().out
