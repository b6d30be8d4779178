"""CT volumes in files: DICOM series and NIfTI, found in a folder and read through SimpleITK."""

import collections
import concurrent.futures
import dataclasses
import gzip
import math
import os
import pathlib
import re
import types
import zlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from tfgen._utils import extras
from tfgen._utils.progress import with_progress

__all__ = [
    "ORIENTATIONS",
    "UnreadableVolumeError",
    "VolumeFiles",
    "attempt",
    "find_volumes",
    "read_volume",
]

# Where columns, rows and slices go: to the (L)eft, (P)osterior, (S)uperior or (I)nferior. All
# show the patient upright or lying on the back, and the left side of the patient on the right.
ORIENTATIONS = {"axial": "LPS", "coronal": "LIP", "sagittal": "PIL"}

_NIFTI = re.compile(r"(.+)\.nii(\.gz)?", re.IGNORECASE)
_BIDS_SUBJECT = re.compile(r"(sub-[a-zA-Z0-9]+)_")
_DICOM_SUFFIXES = frozenset((".dcm", ".dicom", ".ima"))
# Largest deviation from even distances between slices, relative to the distance.
_SPACING_TOLERANCE = 0.1
_READ_SIZE = 2**20

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


class UnreadableVolumeError(ValueError):
    """A file or series that cannot be read.

    Args:
        path: path of the file, or of the series' folder.
        reason: str.

    Example:
        >>> UnreadableVolumeError("ct.nii", "it is empty").summary
        'ct.nii: it is empty'
    """

    def __init__(self, path: str | os.PathLike, reason: str) -> None:
        super().__init__(
            f"A medical volume cannot be read. Received: {str(path)!r} ({reason}). Expected "
            "complete DICOM series or NIfTI files: repair it, move it out of the folder, or pass "
            "on_error='skip'."
        )
        self.summary = f"{path}: {reason}"


@dataclasses.dataclass(frozen=True)
class VolumeFiles:
    """The files of one volume.

    Args:
        patient: str.
        paths: tuple of paths: the slices of a DICOM series in the order of their position, or one
            file that holds them all.

    Example:
        >>> VolumeFiles("case1", (pathlib.Path("case1.nii.gz"),)).patient
        'case1'
    """

    patient: str
    paths: tuple[pathlib.Path, ...]


@dataclasses.dataclass(frozen=True)
class _Header:
    """What is known of a DICOM file before its pixels are read."""

    path: pathlib.Path
    patient: str
    series: str
    position: np.ndarray
    direction: np.ndarray


def attempt(
    read: Callable[[_Argument], _Result], argument: _Argument, skipped: list[str] | None
) -> _Result | None:
    """`read(argument)`, or None with an entry in `skipped` if that is unreadable.

    Args:
        read: function that may raise `UnreadableVolumeError`.
        argument: its argument.
        skipped: list to which a summary of the error is added; None lets the error through.

    Returns:
        What `read` returns, or None.

    Raises:
        UnreadableVolumeError: if `read` does and `skipped` is None.

    Example:
        >>> def read(path):
        ...     raise UnreadableVolumeError(path, "it is empty")
        >>> skipped = []
        >>> attempt(read, "ct.nii", skipped), skipped
        (None, ['ct.nii: it is empty'])
    """
    try:
        return read(argument)
    except UnreadableVolumeError as error:
        if skipped is None:
            raise
        skipped.append(error.summary)
        return None


def find_volumes(
    folder: str | os.PathLike,
    *,
    patient_of: Callable[[pathlib.Path], str] | None = None,
    skipped: list[str] | None = None,
) -> list[VolumeFiles]:
    """Volumes in a folder and its subfolders.

    NIfTI files are those named `*.nii` and `*.nii.gz`. DICOM files are those named `*.dcm`,
    `*.dicom` or `*.ima` and those with DICOM's mark behind the preamble, whatever their name;
    empty files beside them count as damaged slices. Hidden files, `DICOMDIR` and all others are
    passed over, and links to folders are not followed. Files of one patient with the same
    SeriesInstanceUID are one volume; without that tag, those of one folder.

    Args:
        folder: path.
        patient_of: function from a path relative to `folder` to the patient's name, a str. None
            takes, for DICOM, the tag PatientID, or else the first subfolder on the path, or else
            the folder itself; for NIfTI the subject `sub-<label>` of a BIDS name, or else the
            file's name without its ending.
        skipped: list to which a line is added for each unreadable file or series; None raises.

    Returns:
        List of `VolumeFiles`, sorted by patient and path.

    Raises:
        UnreadableVolumeError: if a header cannot be read or a series has gaps, unless skipped.
        ImportError: if SimpleITK is missing.
        ValueError: if there is no folder of that name.

    Example:
        >>> [volume.patient for volume in find_volumes("Pancreas-CT")]  # doctest: +SKIP
        ['PANCREAS_0001', 'PANCREAS_0002']
    """
    _simpleitk()
    folder = _as_folder(folder)
    nifti, others = _visible_files(folder)
    read = _header_reader(folder, patient_of)
    headers = _read_headers(read, _dicom_paths(others), skipped)
    name = patient_of or _nifti_patient
    volumes = [VolumeFiles(name(path.relative_to(folder)), (path,)) for path in nifti]
    series = (attempt(_series, group, skipped) for group in _groups(headers))
    volumes += [volume for volume in series if volume is not None]
    return sorted(volumes, key=lambda volume: (volume.patient, volume.paths))


def read_volume(
    volume: VolumeFiles, *, axis: str = "axial", spacing: Sequence[float] | None = None
) -> np.ndarray:
    """Voxels of a volume, in a common orientation.

    Voxels of another spacing are interpolated linearly on a grid with the same centre that does
    not leave the volume. Along axes that get coarser the volume is smoothed first, with the
    Gaussian that turns the old voxel's point spread into the new one's: variance
    (factor**2 - 1) / (8 log 2) in old voxels.

    Source: Cardoso et al., Scale Factor Point Spread Function Matching, MICCAI 2015.

    Args:
        volume: `VolumeFiles`.
        axis: "axial", "coronal" or "sagittal", across which the slices are counted.
        spacing: (depth, height, width) of a voxel in mm, or None to keep it.

    Returns:
        float32 array, shape (depth, height, width), in Hounsfield units: DICOM's rescale slope
        and intercept, and NIfTI's, are applied. NaN in NIfTI files is 0: SimpleITK reads it so.

    Raises:
        UnreadableVolumeError: if a file is incomplete or no grey volume.

    Example:
        >>> volume, *_ = find_volumes("Pancreas-CT")  # doctest: +SKIP
        >>> read_volume(volume, spacing=(2, 2, 2)).shape  # doctest: +SKIP
        (120, 180, 180)
    """
    sitk = _simpleitk()
    image = sitk.DICOMOrient(_read_image(volume.paths), ORIENTATIONS[axis])
    if spacing is not None:
        image = _resample(image, spacing[::-1])
    return sitk.GetArrayFromImage(image)


def _simpleitk() -> types.ModuleType:
    return extras.require("SimpleITK", extra="medical")


def _as_folder(folder):
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"There is no folder of this name. Received: folder={str(folder)!r}. Expected the "
            "folder that holds the patients' DICOM or NIfTI files."
        )
    return folder


def _visible_files(folder):
    """Paths of NIfTI files, and of other files, sorted."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    paths = [path for path in paths if not _is_hidden(path.relative_to(folder))]
    nifti = [path for path in paths if _NIFTI.fullmatch(path.name)]
    return nifti, [path for path in paths if not _NIFTI.fullmatch(path.name)]


def _is_hidden(path):
    return any(part.startswith(".") for part in path.parts) or path.name == "DICOMDIR"


def _dicom_paths(paths):
    """Those that are, or should be, DICOM files."""
    dicom = [path for path in paths if _is_dicom(path)]
    folders = {path.parent for path in dicom}
    damaged = [path for path in paths if path.parent in folders and path.stat().st_size == 0]
    return sorted({*dicom, *damaged})


def _is_dicom(path):
    if path.suffix.lower() in _DICOM_SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _nifti_patient(path):
    """Subject of a BIDS name such as sub-01_ct.nii.gz, or the name without its ending."""
    name = _NIFTI.sub(r"\1", path.name)
    subject = _BIDS_SUBJECT.match(name)
    return subject[1] if subject else name


def _read_headers(read, paths, skipped):
    """Headers of all readable DICOM files."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        headers = pool.map(lambda path: attempt(read, path, skipped), paths)
        return [header for header in with_progress(headers, len(paths)) if header is not None]


def _header_reader(folder, patient_of):
    """Function from the path of a DICOM file to its header."""

    def read(path):
        image = _open(path, "GDCMImageIO")
        relative = path.relative_to(folder)
        top = relative.parts[0] if len(relative.parts) > 1 else folder.resolve().name
        return _Header(
            path,
            patient_of(relative) if patient_of else _tag(image, "0010|0020") or top,
            _tag(image, "0020|000e") or str(path.parent),
            np.array(image.GetOrigin()),
            np.array(image.GetDirection()),
        )

    return read


def _open(path, image_io=""):
    """Reader that knows a file's header, of a grey image."""
    if path.stat().st_size == 0:
        raise UnreadableVolumeError(path, "it is empty")
    reader = _simpleitk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(image_io)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnreadableVolumeError(path, _reason(error)) from error
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
        raise UnreadableVolumeError(path, "it holds no grey volume of three dimensions")
    return reader


def _reason(error):
    """What SimpleITK says, without where in its code."""
    return str(error).rsplit("ERROR: ", 1)[-1].strip()


def _tag(image, key):
    """Text of a DICOM tag, "" if it is missing."""
    return image.GetMetaData(key).strip() if image.HasMetaDataKey(key) else ""


def _groups(headers):
    """Lists of headers, one for each series of a patient."""
    groups = collections.defaultdict(list)
    for header in headers:
        groups[header.patient, header.series].append(header)
    return groups.values()


def _series(headers):
    """`VolumeFiles` of the slices of one series, sorted along their normal."""
    normal = headers[0].direction[2::3]
    headers = sorted(headers, key=lambda header: header.position @ normal)
    _check_evenly_spaced(headers)
    return VolumeFiles(headers[0].patient, tuple(header.path for header in headers))


def _check_evenly_spaced(headers):
    """Refuses what would become a distorted volume."""
    if len(headers) == 1:
        return
    steps = np.diff([header.position for header in headers], axis=0)
    usual = np.median(steps, axis=0)
    length = np.linalg.norm(usual)
    uneven = np.linalg.norm(steps - usual, axis=1).max() > _SPACING_TOLERANCE * length
    turned = np.ptp([header.direction for header in headers], axis=0).max() > 1e-3
    if uneven or turned or length == 0:
        raise UnreadableVolumeError(
            headers[0].path.parent,
            f"the {len(headers)} slices of a series are not evenly spaced and parallel: one is "
            "missing or there twice",
        )


def _name(paths):
    """The one path, or the folder of a series."""
    return paths[0] if len(paths) == 1 else paths[0].parent


def _read_image(paths):
    """SimpleITK image of floats."""
    sitk = _simpleitk()
    if _NIFTI.fullmatch(paths[0].name):
        _check_nifti(paths[0])
    files = [str(path) for path in paths]
    try:
        return sitk.ReadImage(files if len(files) > 1 else files[0], sitk.sitkFloat32)
    except RuntimeError as error:
        raise UnreadableVolumeError(_name(paths), _reason(error)) from error


def _check_nifti(path):
    """Refuses truncated files: SimpleITK would fill what they lack with zeros."""
    header = _open(path)
    num_bytes = math.prod(header.GetSize()) * int(header.GetMetaData("bitpix")) // 8
    expected = float(header.GetMetaData("vox_offset")) + num_bytes
    try:
        size = _uncompressed_size(path)
    except (EOFError, OSError, zlib.error) as error:
        raise UnreadableVolumeError(path, str(error)) from error
    if size < expected:
        raise UnreadableVolumeError(path, f"it has {size} of {expected:.0f} bytes")


def _uncompressed_size(path):
    if path.suffix.lower() != ".gz":
        return path.stat().st_size
    with gzip.open(path) as file:
        return sum(map(len, iter(lambda: file.read(_READ_SIZE), b"")))


def _resample(image, spacing):
    """Image of another spacing, (x, y, z) in mm, with the same centre."""
    sitk = _simpleitk()
    old, size = np.array(image.GetSpacing()), np.array(image.GetSize())
    factor = np.array(spacing) / old
    # NIfTI holds float32: 100 voxels of 0.7 mm are a little less than 70 of 1 mm.
    new_size = np.maximum(1, np.floor(size / factor + 1e-3)).astype(int)
    variance = np.maximum(factor**2 - 1, 0) / (8 * math.log(2))
    if variance.any():
        image = sitk.DiscreteGaussian(image, variance.tolist(), useImageSpacing=False)
    resampler = sitk.ResampleImageFilter()
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetSize(new_size.tolist())
    resampler.SetOutputSpacing([float(length) for length in spacing])
    resampler.SetOutputDirection(image.GetDirection())
    # Where the first of the new voxels lies among the old ones.
    first = (size - 1) / 2 - factor * (new_size - 1) / 2
    resampler.SetOutputOrigin(image.TransformContinuousIndexToPhysicalPoint(first.tolist()))
    resampler.SetUseNearestNeighborExtrapolator(True)
    return resampler.Execute(image)
