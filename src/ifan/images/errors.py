"""What decoders beside libvips say of files that they cannot read."""

from __future__ import annotations


class DecodingError(Exception):
    """A picture that a decoder cannot read; the message says why, in a few words."""
