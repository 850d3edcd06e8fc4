"""Every orientation, in every format that has one, comes out upright, and asks no reader for another turn."""

import io
import re
import zlib

import datasets
import numpy as np
import pytest
import webdataset
from PIL import Image, ImageOps

from glitbuild.commands.ingest import ingest
from glitbuild.ingest.images import open_rgb, store_image
from glitbuild.ingest.orientation import exif_orientation
from tests.run import run_command

from .conftest import exif, save
from .exif_bytes import exif_segment, segment, tiff, with_segments, xmp_segment
