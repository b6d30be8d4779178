"""`load_volumes`: slices and patches of CT volumes as pipelines that can be resumed exactly."""

import dataclasses
import hashlib
import itertools
import numbers
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from tfgen._utils import random
from tfgen._utils.arguments import as_pair, check_fractions, check_ints, check_one_of, is_real
from tfgen._utils.files import as_path, cached_arrays
from tfgen._utils.progress import with_progress
from tfgen.datasets import images
from tfgen.datasets.examples import Examples
from tfgen.datasets.load import DatasetInfo, as_value_range, check_delivery, deliver
from tfgen.datasets.splits import select
from tfgen.datasets.volumes import ORIENTATIONS, VolumeFiles, attempt, find_volumes, read_volume

__all__ = ["VolumesInfo", "apply_window", "load_volumes", "split_patients"]

# Air is at -1000 Hounsfield units, fat at -100, water at 0.
_BODY_THRESHOLD = -500
_AIR = -np.inf  # Clipped to the lower end of any window.
_CACHE_VERSION = 2
_MOST_PATCHES = 10**6  # Of a volume, in an epoch.
_SPACINGS = (0.01, 1000.0)
_NUM_AXES = {"slices": 2, "patches": 3}
_SIZE_REMEDY = "Use (height, width) for slices and (depth, height, width) for patches."
_TEST_FRACTION_REMEDY = "Use 0 to train on all patients, and split='all' to test on all."
_WINDOW_REMEDY = "These are Hounsfield units: use (-160, 240) for soft tissue."


@dataclasses.dataclass(frozen=True)
class VolumesInfo(DatasetInfo):
    """What a model must know of slices or patches of volumes.

    Args:
        patients: tuple of str, those of the split whose volumes could be read.
        window: (low, high), Hounsfield units that `value_range` stands for.
        skipped: tuple of str, a line for each file or series left out as unreadable.

    The others are those of `DatasetInfo`; `image_shape` is (height, width, 1) for slices and
    (depth, height, width, 1) for patches.

    Example:
        >>> info = VolumesInfo("ct", "train", (64, 64, 1), (-1, 1), 240, patients=("PANCREAS_1",))
        >>> info.num_examples, info.patients
        (240, ('PANCREAS_1',))
    """

    patients: tuple[str, ...] = ()
    window: tuple[float, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Preparation:
    """How a volume becomes intensities; the arguments that prepared volumes depend on."""

    axis: str
    spacing: tuple[float, ...] | None
    window: tuple[float, float]
    slice_size: tuple[int, ...] | None
    min_body: float

    def __call__(self, volume: VolumeFiles) -> np.ndarray:
        """float16 array of intensities in [0, 1], shape (depth, height, width)."""
        voxels = read_volume(volume, axis=self.axis, spacing=self.spacing)
        voxels = _resize_slices(_with_body(voxels, self.min_body), self.slice_size, self.spacing)
        return apply_window(voxels, self.window).astype("float16")


def load_volumes(
    folder: str | os.PathLike,
    split: str = "train",
    batch_size: int = 32,
    *,
    kind: Literal["slices", "patches"] = "slices",
    window: Sequence[float] = (-160.0, 240.0),
    spacing: float | Sequence[float] | None = None,
    size: int | Sequence[int] | None = None,
    axis: Literal["axial", "coronal", "sagittal"] = "axial",
    num_patches: int | None = None,
    min_body: float = 0.0,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    patient_of: Callable[[pathlib.Path], str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    cache_dir: str | os.PathLike | None = None,
    value_range: Sequence[float] = (-1.0, 1.0),
    seed: int = 0,
    shuffle: bool | None = None,
    drop_remainder: bool = False,
) -> tuple[tf.data.Dataset, VolumesInfo]:
    """Slices or patches of the CT volumes in a folder, as batches.

    DICOM series (the layout of TCIA's Pancreas-CT) and NIfTI files are found in all subfolders,
    turned to a common orientation, clipped to a window of Hounsfield units and kept in memory, 2
    bytes a voxel; float16 rounds by at most 0.025 % of the window. It needs SimpleITK:
    `pip install 'tfgen[medical]'`. See `tfgen.datasets.volumes.find_volumes` for which files
    count and how patients are told apart. Files with segmentations look like any other volume:
    keep them in another folder.

    All volumes of a patient are on the same side of the split, and slices such as "train[:90%]"
    count patients. `split_patients` has the rule: a patient's side depends on its name and on
    `split_seed` only, so that added patients move nobody.

    The pipeline's order, and where random patches lie, follow from `seed` and the epoch alone,
    and `dataset.seek(epoch, step=0)` continues an interrupted run bit for bit, as in `load`.

    Args:
        folder: path.
        split: str, "train", "test", "all", or slices by patients such as "train[:90%]".
        batch_size: int >= 1.
        kind: "slices" for images of (height, width, 1), "patches" for boxes of
            (depth, height, width, 1).
        window: (low, high), Hounsfield units mapped to the ends of `value_range`.
        spacing: size of a voxel in mm, float or (depth, height, width) with the depth across the
            slices; volumes are interpolated linearly to it. None keeps each volume's own.
        size: int or tuple. Slices: (height, width); without `spacing` they are resized to it
            (averaged where that shrinks them), with `spacing` cropped or padded around their
            centre. Patches: (depth, height, width), required. Padding has the value of
            `window[0]`.
        axis: "axial", "coronal" or "sagittal". Axial rows run to the back of the patient, the
            rows of the others to the feet.
        num_patches: int, patches drawn from each volume in each epoch, at random positions; None
            for a grid of patches that covers the volume with the least overlap.
        min_body: float in [0, 1], leaves out slices in which a smaller share of the pixels
            exceeds -500 Hounsfield units, which air does not. 0 keeps all.
        test_fraction: float in [0, 1), chance of a patient to be in the split "test"; 0 trains on
            all patients.
        split_seed: int >= 0, another division into "train" and "test".
        patient_of: function from a file's path, relative to `folder`, to its patient's name; None
            for PatientID or folder (DICOM) and file name (NIfTI).
        on_error: "raise", or "skip" to leave out files that are empty, truncated or otherwise
            unreadable, and series with gaps, with a warning; they are named in `info.skipped`.
        cache_dir: path of a folder that keeps prepared volumes for the next run, or None. Files
            or arguments that change are prepared anew; a damaged file in it is a ValueError,
            and is prepared anew once it is deleted.
        value_range: (low, high), what the window's ends are mapped to.
        seed: int >= 0, of order and positions. The split does not depend on it.
        shuffle: bool; None shuffles splits whose name starts with "train".
        drop_remainder: bool, leave out a last batch that is smaller than the others.

    Returns:
        A tuple (dataset, info). dataset: `tf.data.Dataset` of float32 batches of shape
        (batch, *info.image_shape), with known cardinality and the method `seek(epoch, step=0)`.
        info: `VolumesInfo`.

    Raises:
        ValueError: if an argument is unusable, a split has no patient, or a file cannot be read.
        ImportError: if SimpleITK is missing.

    Example:
        >>> dataset, info = load_volumes("Pancreas-CT", size=128, on_error="skip")  # doctest: +SKIP
        >>> info.image_shape, len(info.patients), len(info.skipped)  # doctest: +SKIP
        ((128, 128, 1), 66, 0)
    """
    check_delivery(split, batch_size, seed, shuffle, drop_remainder)
    check_one_of(("raise", "skip"), on_error=on_error)
    folder = as_path(folder=folder)
    cache_dir = None if cache_dir is None else as_path(cache_dir=cache_dir)
    check_fractions(_TEST_FRACTION_REMEDY, test_fraction=test_fraction)
    check_ints(0, split_seed=split_seed)
    if patient_of is not None and not callable(patient_of):
        raise ValueError(
            "patient_of must be a function from a path to a name. Received: patient_of="
            f"{patient_of!r}. Use None for the names in the files."
        )
    _check_min_body(min_body)
    sides, bounds = _as_size(kind, size, num_patches, min_body), as_value_range(value_range)
    prepare = _preparation(axis, spacing, window, sides if kind == "slices" else None, min_body)
    skipped: list[str] | None = [] if on_error == "skip" else None
    found = _find(folder, patient_of, skipped)
    chosen = _of_split(found, split, test_fraction, split_seed)
    arrays = _read_all(chosen, _cached(prepare, folder, cache_dir), skipped)
    examples, fetch = _slices(arrays) if kind == "slices" else _patches(arrays, sides, num_patches)
    examples = dataclasses.replace(examples, name=pathlib.Path(folder).resolve().name)

    def load_batch(batch_seed, positions):
        return images.rescale(fetch(batch_seed, positions), bounds)

    dataset = deliver(load_batch, examples, split, batch_size, seed, shuffle, drop_remainder)
    return dataset, _describe(examples, split, bounds, arrays, prepare.window, _report(skipped))


def _describe(examples, split, value_range, arrays, window, skipped):
    return VolumesInfo(
        name=examples.name,
        split=split,
        image_shape=examples.image_shape,
        value_range=value_range,
        num_examples=len(examples.rows),
        patients=tuple(sorted({volume.patient for volume in arrays})),
        window=window,
        skipped=skipped,
    )


def apply_window(voxels: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Hounsfield units as intensities: a window mapped linearly to [0, 1], what is outside clipped.

    Args:
        voxels: float array of any shape, in Hounsfield units.
        window: (low, high) in Hounsfield units.

    Returns:
        Array of the same shape and type.

    Example:
        >>> apply_window(np.array([-1000.0, -160.0, 40.0, 240.0, 1000.0]), (-160, 240)).tolist()
        [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    low, high = window
    return (np.clip(voxels, low, high) - low) / (high - low)


def split_patients(
    patients: Iterable[str], test_fraction: float = 0.2, split_seed: int = 0
) -> dict[str, list[str]]:
    """Divides patients into those to train on and those to test on.

    The hash (SHA-256) of a patient's name and the seed is a number in [0, 1); below
    `test_fraction` the patient is for tests. So a patient stays on its side when others are added
    or left out, a larger fraction only moves patients to "test", and the number of patients in
    "test" varies about its mean `test_fraction * len(patients)` as a binomial does.

    Args:
        patients: iterable of str.
        test_fraction: float in [0, 1).
        split_seed: int >= 0.

    Returns:
        Dict of lists of names, "train" and "test", each in the order of the hashes; without
        "test" if `test_fraction` is 0.

    Raises:
        ValueError: if the fraction lies outside its range, or a side would be empty.

    Example:
        >>> split_patients(["ann", "bob", "cy", "di"], test_fraction=0.25)
        {'train': ['cy', 'bob', 'ann'], 'test': ['di']}
    """
    check_fractions(_TEST_FRACTION_REMEDY, test_fraction=test_fraction)
    check_ints(0, split_seed=split_seed)
    patients = _as_names(patients)
    numbers_of = {patient: _hash(patient, split_seed) for patient in set(patients)}
    ordered = sorted(numbers_of, key=numbers_of.__getitem__)
    num_test = sum(number < test_fraction for number in numbers_of.values())
    if test_fraction == 0:
        return {"train": ordered}
    _check_sides(ordered, num_test, test_fraction, split_seed)
    return {"train": ordered[num_test:], "test": ordered[:num_test]}


def _as_names(patients):
    """List of the patients' names."""
    names = None if isinstance(patients, str) or not np.iterable(patients) else list(patients)
    if names is None or not all(isinstance(name, str) for name in names):
        raise ValueError(
            "patients must be several names, each a str. Received: patients="
            f"{patients if names is None else names!r}. Pass numbers of patients as texts."
        )
    return names


def _hash(patient, split_seed):
    """Number in [0, 1)."""
    text = f"{split_seed}/{patient}".encode(errors="backslashreplace")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2**64


def _find(folder, patient_of, skipped):
    volumes = find_volumes(folder, patient_of=patient_of, skipped=skipped)
    if not volumes:
        raise ValueError(
            f"The folder has no medical volumes. Received: folder={str(folder)!r}, of which "
            f"{len(skipped or ())} files or series were skipped as unreadable. Expected DICOM "
            "series or files that end in .nii or .nii.gz, in it or its subfolders."
        )
    return volumes


def _of_split(volumes, split, test_fraction, split_seed):
    """The volumes of the patients in a split."""
    patients = sorted({volume.patient for volume in volumes})
    if split == "all":
        return volumes
    sides = split_patients(patients, test_fraction, split_seed)
    positions = {
        side: np.array([patients.index(patient) for patient in members])
        for side, members in sides.items()
    }
    chosen = {patients[position] for position in select(positions, split)}
    return [volume for volume in volumes if volume.patient in chosen]


def _read_all(volumes, prepare, skipped):
    """Dict from each volume that can be used to its intensities."""
    progress = with_progress(volumes, len(volumes))
    arrays = {volume: attempt(prepare, volume, skipped) for volume in progress}
    arrays = {volume: array for volume, array in arrays.items() if array is not None and len(array)}
    if not arrays:
        raise ValueError(
            f"No volume of the split is left. Received: {len(volumes)} volumes, of which "
            f"{len(skipped or ())} files or series were skipped as unreadable; the others have no "
            "slice with enough body. Repair the files, or lower min_body."
        )
    return arrays


def _report(skipped):
    """Tuple of what was skipped, with a warning if there is any."""
    if skipped:
        lines = "".join(f"\n  {line}" for line in sorted(skipped))
        warnings.warn(
            f"Skipped {len(skipped)} unreadable files or series:{lines}", UserWarning, stacklevel=3
        )
    return tuple(sorted(skipped or ()))


def _cached(prepare, folder, cache_dir):
    """`prepare`, with results kept in a folder if there is one."""
    if cache_dir is None:
        return prepare
    cache_dir = pathlib.Path(cache_dir)
    cache_dir.mkdir(parents=True, exist_ok=True)

    def prepare_once(volume):
        path = cache_dir / f"{_fingerprint(prepare, volume, folder)}.npz"
        (array,) = cached_arrays(path, lambda: [prepare(volume)], num_arrays=1)
        return array

    return prepare_once


def _fingerprint(prepare, volume, folder):
    """Hash of all that a prepared volume depends on."""
    stats = [(str(path.relative_to(folder)), path.stat()) for path in volume.paths]
    files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return hashlib.sha256(repr((_CACHE_VERSION, prepare, files)).encode()).hexdigest()


def _with_body(voxels, min_body):
    """The slices in which at least this share of the pixels is no air."""
    share = (voxels > _BODY_THRESHOLD).mean(axis=(1, 2))
    return voxels[share >= min_body]


def _resize_slices(voxels, size, spacing):
    """Slices of (height, width), by interpolation unless a voxel's size in mm is fixed."""
    if size is None:
        return voxels
    if spacing is None:
        return images.resize_all(voxels[..., None], size)[..., 0]
    return _crop_or_pad(voxels, (len(voxels), *size), _AIR)


def _crop_or_pad(array, shape, value):
    """The middle of an array, or the array in the middle of a constant."""
    excess = np.array(array.shape) - shape
    start = np.maximum(excess, 0) // 2
    inside = array[tuple(map(slice, start, start + shape))]
    missing = np.maximum(-excess, 0)
    return np.pad(inside, np.stack([missing // 2, -(-missing // 2)], 1), constant_values=value)


def _slices(arrays):
    """`Examples` that are slices, and a function from a seed and positions to intensities."""
    _check_slice_sizes(arrays)
    rows = np.concatenate(list(arrays.values()))[..., None]
    examples = Examples("", rows, rows.shape[1:])
    batches = examples.batches()
    return examples, lambda seed, positions: batches(positions)[0]


def _patches(arrays, size, num_patches):
    """`Examples` that are places of patches, and a function as that of `_slices`."""
    boxes = [_crop_or_pad(box, np.maximum(box.shape, size), 0) for box in arrays.values()]
    shapes = np.array([box.shape for box in boxes])
    places = _grids(shapes, size) if num_patches is None else _repeats(len(boxes), num_patches)
    starts = np.cumsum([0, *(box.size for box in boxes)])[:-1]
    crop = _cropper(np.concatenate([box.ravel() for box in boxes]), starts, shapes, size)

    def fetch(seed, positions):
        place = tf.gather(places, positions)
        volume, corner = place[:, 0], place[:, 1:]
        if num_patches is not None:
            corner = _draw_corners(seed, tf.gather(shapes - size, volume))
        return crop(volume, corner)

    return Examples("", places, (*size, 1)), fetch


def _repeats(num_volumes, num_patches):
    """Index of a volume for each of its patches, shape (num_volumes * num_patches, 1)."""
    return np.repeat(np.arange(num_volumes), num_patches)[:, None]


def _grids(shapes, size):
    """(volume, z, y, x) of the first voxels of patches that cover all volumes."""
    return np.array(
        [
            (volume, *corner)
            for volume, shape in enumerate(shapes)
            for corner in itertools.product(*map(_starts, shape, size))
        ]
    )


def _starts(length, size):
    """Where pieces begin that cover a length, spread evenly."""
    num_pieces = -(-length // size)
    return np.linspace(0, length - size, num_pieces).round().astype(int)


def _draw_corners(seed, room):
    """First voxels of patches, uniform on 0 to `room`, both included."""
    uniform = tf.random.stateless_uniform(
        tf.shape(room), seed, dtype=tf.float64, alg=random.ALGORITHM
    )
    return tf.cast(uniform * tf.cast(room + 1, tf.float64), tf.int64)


def _cropper(voxels, starts, shapes, size):
    """Function from volumes and first voxels to patches, shape (batch, *size, 1)."""
    with tf.device("CPU:0"):  # As in `Examples.batches`.
        voxels = tf.convert_to_tensor(voxels)
    depth, height, width = (tf.range(length, dtype=tf.int64) for length in size)

    def crop(volume, corner):
        _, num_rows, num_columns = tf.unstack(tf.gather(shapes, volume)[:, :, None], axis=1)
        z, y, x = tf.unstack(corner[:, :, None], axis=1)
        row = (z + depth)[:, :, None] * num_rows[:, None] + (y + height)[:, None, :]
        column = row[..., None] * num_columns[..., None, None] + (x + width)[:, None, None, :]
        places = tf.gather(starts, volume)[:, None, None, None] + column
        return images.to_unit_interval(tf.gather(voxels, places)[..., None])

    return crop


def _preparation(axis, spacing, window, slice_size, min_body):
    """`_Preparation` of checked arguments."""
    check_one_of(ORIENTATIONS, axis=axis)
    bounds = as_pair(_WINDOW_REMEDY, window=window)
    return _Preparation(axis, _as_spacing(spacing), bounds, slice_size, float(min_body))


def _check_min_body(min_body):
    if not is_real(min_body) or not 0 <= min_body <= 1:
        raise ValueError(
            "min_body must be a share of a slice's pixels, in [0, 1]. "
            f"Received: min_body={min_body!r}. Use 0 to keep all slices."
        )


def _as_spacing(spacing):
    """(depth, height, width) in mm, or None."""
    if spacing is None:
        return None
    lengths = (spacing,) * 3 if isinstance(spacing, numbers.Real) else spacing
    lengths = tuple(lengths) if np.iterable(lengths) else ()
    low, high = _SPACINGS
    are_lengths = all(is_real(v) and low <= v <= high for v in lengths)
    if len(lengths) != 3 or not are_lengths:
        raise ValueError(
            f"spacing must be a number of mm from {low} to {high}, or three of them (depth, "
            f"height, width). Received: spacing={spacing!r}. Use None to keep the volumes' own."
        )
    return tuple(float(length) for length in lengths)


def _as_size(kind, size, num_patches, min_body):
    """Tuple of ints, or None, of arguments that fit the kind."""
    check_one_of(_NUM_AXES, kind=kind)
    _check_kind(kind, size, num_patches, min_body)
    return images.as_image_sizes(_NUM_AXES[kind], _SIZE_REMEDY, size=size)


def _check_kind(kind, size, num_patches, min_body):
    if kind == "patches" and (size is None or min_body):
        raise ValueError(
            "Patches need a size (depth, height, width), and min_body is for slices. "
            f"Received: kind='patches', size={size!r}, min_body={min_body!r}. "
            "Pass for example size=32."
        )
    if num_patches is not None and (kind != "patches" or not _is_count(num_patches)):
        raise ValueError(
            f"num_patches must be an int from 1 to {_MOST_PATCHES}, for kind='patches' only. "
            f"Received: kind={kind!r}, num_patches={num_patches!r}. Leave it out for slices, and "
            "for patches on a grid."
        )


def _is_count(num_patches):
    whole = isinstance(num_patches, numbers.Integral) and not isinstance(num_patches, bool)
    return whole and 1 <= num_patches <= _MOST_PATCHES


def _check_sides(patients, num_test, test_fraction, split_seed):
    if not 0 < num_test < len(patients):
        side = "train" if num_test else "test"
        raise ValueError(
            f"No patient is left to {side} on. Received: {len(patients)} patients, among them "
            f"{patients[:3]}, with test_fraction={test_fraction}, split_seed={split_seed}. Pass "
            "test_fraction=0 to train on all, another fraction or split_seed, or patient_of if "
            "these are not the patients."
        )


def _check_slice_sizes(arrays):
    sizes = {volume.paths[0]: array.shape[1:] for volume, array in arrays.items()}
    (first, expected), *others = sizes.items()
    for path, size in others:
        if size != expected:
            raise ValueError(
                f"The volumes have slices of different sizes. Received: {str(first)!r} of (height, "
                f"width) {expected}, {str(path)!r} of {size}. Pass size=(height, width)."
            )
