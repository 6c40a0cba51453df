import pytest

from leaves import photograph


@pytest.fixture(scope="session")
def photographs():
    return [photograph(seed) for seed in range(3)]
