"""What `ifan serve` says before it serves."""

import socket

import pytest

EVERYWHERE = "0.0.0.0"  # noqa: S104, this is what the test is about


def test_it_is_refused_without_a_key_where_others_can_reach_it(ifan):
    said = ifan("serve", "--host", EVERYWHERE, "--port", "0", status=2).stderr
    assert "there is no key; give --api-key, or set IFAN_API_KEY" in " ".join(said.split())


def test_an_empty_key_is_no_key(ifan):
    said = ifan("serve", "--host", EVERYWHERE, "--port", "0", "--api-key", "", status=2).stderr
    assert "an --api-key is empty" in said


@pytest.mark.parametrize("origin", ["*", "https://example.org/", "example.org", "null"])
def test_what_is_no_origin_is_refused(ifan, origin):
    said = ifan("serve", "--port", "0", "--allow-origin", origin, status=2).stderr
    assert "is no origin; give scheme://host or scheme://host:port" in " ".join(said.split())


def test_a_port_that_is_taken_is_named(ifan):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = ifan("serve", "--port", port, status=1).stderr
    assert said == (
        f"127.0.0.1:{port}: cannot be listened on (Address already in use); choose another --host "
        "or --port\n"
    )


def test_a_host_that_there_is_not_is_named(ifan):
    said = ifan("serve", "--host", "nowhere.invalid", "--port", "0", status=1).stderr
    assert said.startswith("nowhere.invalid:0: cannot be listened on (")


def test_a_model_that_there_is_not_is_named(ifan):
    said = ifan("serve", "--port", "0", "--model", "nobody", status=1).stderr
    assert said.startswith("nobody: ")
    assert said.count("\n") == 1
