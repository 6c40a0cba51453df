"""What a checkpoint file says of itself before its tensors are read. Needs no PyTorch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import safetensors

from ifan.errors import ModelError
from ifan.models.configuration import METADATA_KEY, REBLURRING_PREFIX, Description, bare_name
from ifan.models.graphs import fingerprint

# What `torch.save` begins its files with: a zip archive, or in older versions a pickle.
_TORCH_STARTS = (b"PK", b"\x80")


class Header(NamedTuple):
    """What the header of a safetensors file says.

    Attributes:
        description: what the weights are weights of. None: it does not say.
        parameters: number of parameters of the deblurring network.
    """

    description: Description | None
    parameters: int


def read_header(path: Path) -> Header | None:
    """Read the header of a safetensors file; None if `torch.save` wrote it: it then has none.

    Raises:
        ModelError: the file cannot be read, is damaged or no checkpoint, or describes no IFAN.
    """
    with faults_told(path):
        if not is_safetensors(path):
            return None
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = (file.metadata() or {}).get(METADATA_KEY)
            names = [name for name in file.keys() if REBLURRING_PREFIX not in name]  # noqa: SIM118
            parameters = sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    try:
        return Header(None if metadata is None else Description.from_json(metadata), parameters)
    except ValueError as error:
        raise not_an_ifan(path, str(error)) from error


def fingerprint_of(path: Path) -> str | None:
    """Return the fingerprint of the weights in a file; None if only PyTorch can read them.

    Raises:
        ModelError: the file cannot be read, or is damaged.
    """
    with faults_told(path):
        if not is_safetensors(path):
            return None
        with safetensors.safe_open(path, framework="numpy") as file:
            try:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            except TypeError:  # NumPy has no bfloat16
                return None
    return fingerprint(
        {
            bare_name(name): tensor
            for name, tensor in tensors.items()
            if REBLURRING_PREFIX not in name and tensor.size  # what is empty marks a variant
        }
    )


def is_safetensors(path: Path) -> bool:
    """Tell whether a file is to be read as safetensors: all that `torch.save` did not write.

    Raises:
        ModelError: the file is empty.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(9)
    if not start:
        raise ModelError(path, "is empty", "download or copy it again")
    # The header is JSON after its length in eight bytes, and these may be any.
    return start[8:] == b"{" or not start.startswith(_TORCH_STARTS)


@contextmanager
def faults_told(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a checkpoint file is read into a ModelError."""
    try:
        yield
    except FileNotFoundError as error:
        raise ModelError(path, "does not exist", "check the name") from error
    except OSError as error:
        raise ModelError(path, f"cannot be read ({error.strerror})", "check the file") from error
    except safetensors.SafetensorError as error:
        raise damaged(path) from error


def damaged(path: Path) -> ModelError:
    """Return what to raise where the bytes of a file are not those of a checkpoint."""
    if path.suffix.lower() == ".onnx":
        remedy = (
            "put it as model.onnx beside model.safetensors of the same model in a folder, and give "
            "the folder"
        )
        return ModelError(path, "is an ONNX graph by its name, no checkpoint", remedy)
    return ModelError(path, "is damaged or no checkpoint at all", "download or copy it again")


def not_an_ifan(path: str | os.PathLike[str], reason: str) -> ModelError:
    """Return what to raise where a file holds the weights of something else."""
    return ModelError(
        path, f"does not hold the weights of an IFAN: {reason}", "check that it is the right file"
    )


def too_large_for_half(path: str | os.PathLike[str]) -> ModelError:
    """Return what to raise where a file cannot hold its weights as float16."""
    return ModelError(path, "cannot hold these weights, which exceed float16", "leave out --half")
