"""Checkpoints as files: safetensors, and what `torch.save` writes. Needs PyTorch.

Both hold the same tensors in the released layout (`ifan.models.released`); a safetensors file
carries the configuration in its metadata besides. Nothing but tensors is ever unpickled.
"""

from __future__ import annotations

import io
import os
import pickle
import warnings
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ifan.errors import ModelError
from ifan.files import write_atomically
from ifan.models import released
from ifan.models.configuration import (
    METADATA_KEY,
    REBLURRING_PREFIX,
    Description,
)
from ifan.models.headers import (
    damaged,
    faults_told,
    is_safetensors,
    not_an_ifan,
    too_large_for_half,
)
from ifan.networks import IFAN, ReblurringNetwork

_SHOWN_DIFFERENCES = 4


class Checkpoint(NamedTuple):
    """What a checkpoint file holds.

    Attributes:
        network: the deblurring network, float32, in evaluation mode.
        reblurring: the reblurring network that it was trained with, if the file has it.
        description: the configuration of the network, and the pictures it was trained with.
    """

    network: IFAN
    reblurring: ReblurringNetwork | None
    description: Description


def load_released_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Load a checkpoint in the released layout, in either container, ours or released.

    The containers are safetensors and what `torch.save` writes; the file's content tells which.

    Width, N and dual-pixel are read off the shapes; the reading of the IAC from the file's metadata
    or markers, without which it is a released checkpoint's (shared filters, output activation).

    Raises:
        ModelError: the file cannot be read, holds more than tensors, or its tensors are not those
            of an IFAN: each one that is missing, unknown or of a wrong shape is named.
    """
    tensors, metadata = _read(Path(path))
    for name, tensor in tensors.items():
        if not _holds_weights(tensor):
            raise not_an_ifan(path, f"{name} is no dense tensor of floating-point numbers")
    network_tensors, reblurring_tensors, markers = released.split_released(tensors)
    try:
        description = _described(metadata, released.infer_description(network_tensors, markers))
        configuration = description.configuration
        # Without memory of their own: they are given the file's tensors.
        with torch.device("meta"):
            network = IFAN(**configuration.model_dump())
        _fill(network, network_tensors)
        reblurring = None
        if reblurring_tensors:
            with torch.device("meta"):
                reblurring = ReblurringNetwork(
                    configuration.width,
                    configuration.iterations,
                    released.infer_reblurring_iterations(reblurring_tensors),
                    configuration.shared_filters,
                )
            _fill(reblurring, reblurring_tensors)
    except KeyError as error:
        raise not_an_ifan(path, f"{error.args[0]} is missing") from error
    except ValueError as error:
        raise not_an_ifan(path, str(error)) from error
    return Checkpoint(network, reblurring, description)


def save_released_checkpoint(
    path: str | os.PathLike[str],
    network: IFAN,
    reblurring: ReblurringNetwork | None = None,
    *,
    sample_bits: int = 8,
    overwrite: bool = False,
) -> None:
    """Save in the released form, so that the released implementation loads it too.

    Args as `save_safetensors`.

    Raises:
        OutputError: the file exists and `overwrite` is not set, or it cannot be written.
    """
    tensors = {
        f"{released.NETWORK_PREFIX}{name}": tensor
        for name, tensor in (
            released.to_released(network)
            | released.markers_of(Description.of(network, sample_bits))
        ).items()
    }
    if reblurring is not None:
        tensors |= {
            f"module.{REBLURRING_PREFIX}{name}": tensor
            for name, tensor in released.to_released(reblurring).items()
        }
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    write_atomically(path, buffer.getbuffer(), overwrite=overwrite)


def save_safetensors(
    path: str | os.PathLike[str],
    network: IFAN,
    reblurring: ReblurringNetwork | None = None,
    *,
    sample_bits: int = 8,
    half: bool = False,
    overwrite: bool = False,
) -> None:
    """Save as safetensors, with the configuration in the metadata.

    Args:
        path: the file.
        network: the deblurring network.
        reblurring: the reblurring network that it was trained with, to be kept as well.
        sample_bits: bits a sample of the pictures it was trained with, 8 or 16.
        half: round the weights to float16, for a file of half the size.
        overwrite: whether a file of that name is replaced.

    Raises:
        ModelError: a weight is too large for float16.
        OutputError: the file exists and `overwrite` is not set, or it cannot be written.
    """
    tensors = released.to_released(network)
    if reblurring is not None:
        tensors |= {
            f"{REBLURRING_PREFIX}{name}": tensor
            for name, tensor in released.to_released(reblurring).items()
        }
    if half:
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise too_large_for_half(path)
    metadata = {METADATA_KEY: Description.of(network, sample_bits).to_json()}
    data = safetensors.torch.save(tensors, metadata=metadata)
    write_atomically(path, data, overwrite=overwrite)


def _read(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Return the tensors of a file and, if there is one, its description as JSON."""
    with faults_told(path):
        if is_safetensors(path):
            with safetensors.safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return tensors, (file.metadata() or {}).get(METADATA_KEY)
        return _tensors_only(path, _unpickled(path)), None


def _unpickled(path: Path) -> object:
    """Return what `torch.save` wrote, if that is nothing but tensors and plain values."""
    try:
        # Given a path, torch.load would go by the name.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is odd in a file that is refused anyway
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        raise ModelError(
            path,
            "is no checkpoint, or holds other things than tensors, which are never loaded",
            "give a file that torch.save wrote from a state dict, or a .safetensors file",
        ) from error
    except Exception as error:  # of a damaged file, it can be any: it runs into bytes at random
        raise damaged(path) from error


def _tensors_only(path: Path, content: object) -> dict[str, Tensor]:
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise ModelError(
            path, "is no state dict (a name and a tensor each)", "save network.state_dict() only"
        )
    return content


def _holds_weights(tensor: Tensor) -> bool:
    """Tell whether there is a floating-point number for each element of a tensor.

    A file may also say that one number stands for all of them, or that there are none, and so have
    a network of any size made of it.
    """
    return (
        tensor.layout is torch.strided
        and tensor.is_floating_point()
        and tensor.device.type == "cpu"
        and tensor.untyped_storage().nbytes() >= tensor.nbytes
    )


def _described(metadata: str | None, inferred: Description) -> Description:
    """Return what the metadata say, or else what the shapes and markers do."""
    if metadata is None:
        return inferred
    description = Description.from_json(metadata)
    for field in ("width", "iterations", "dual_pixel"):
        said, found = (getattr(each.configuration, field) for each in (description, inferred))
        if said != found:
            raise ValueError(f"its metadata say {field} = {said}, its tensors {found}")
    return description


def _fill(network: IFAN | ReblurringNetwork, tensors: released.State) -> None:
    found = released.differences(network, tensors)
    if found:
        rest = len(found) - _SHOWN_DIFFERENCES
        more = f" and {rest} more" if rest > 0 else ""
        raise ValueError(", ".join(found[:_SHOWN_DIFFERENCES]) + more)
    released.load_released(network, {name: tensor.float() for name, tensor in tensors.items()})
    network.eval()
