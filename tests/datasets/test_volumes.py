"""CT volumes in files: which are found, and what is read from them."""

import itertools
import locale
import pathlib
import struct
import sys

import numpy as np
import pytest

from tfgen.datasets.volumes import (
    ORIENTATIONS,
    UnreadableVolumeError,
    VolumeFiles,
    find_volumes,
    read_volume,
)

sitk = pytest.importorskip("SimpleITK", reason="needs pip install 'tfgen[medical]'")

RNG = np.random.default_rng(0)
SHAPE = (5, 6, 7)  # Slices, rows, columns.
# Which way voxels may be counted: each column is where an index goes in (L, P, S).
DIRECTIONS = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in ((1, 1, 1), (-1, -1, 1), (1, -1, -1))
]


def write_nifti(path, voxels, spacing=(1.0, 1.0, 1.0), direction=None):
    """Writes voxels of shape (slices, rows, columns); spacing and direction count columns first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    if direction is not None:
        image.SetDirection(np.ravel(direction).tolist())
    sitk.WriteImage(image, str(path))
    return path


def write_slice(path, pixels, position=0.0, *, patient="P1", series="1.2.3", slope=1, intercept=0):
    """Writes one DICOM slice, of shape (rows, columns), at a position in mm along the body."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(pixels[None])
    image.SetSpacing((2.0, 3.0, 4.0))
    tags = {
        "0008|0008": "DERIVED\\SECONDARY",
        "0008|0060": "CT",
        "0010|0020": patient,
        "0020|000e": series,
        "0020|0032": f"0\\0\\{position}",
        "0020|0037": "1\\0\\0\\0\\1\\0",
        "0028|1052": str(intercept),
        "0028|1053": str(slope),
    }
    for key, value in tags.items():
        image.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetImageIO("GDCMImageIO")
    # SimpleITK chooses the format by the ending, users' files need not have one.
    writer.SetFileName(f"{path}.dcm")
    before = locale.setlocale(locale.LC_ALL)
    writer.Execute(image)
    locale.setlocale(locale.LC_ALL, before)  # GDCM leaves "C" behind, and Python reads ASCII.
    return pathlib.Path(f"{path}.dcm").rename(path)


def write_series(folder, voxels, **options):
    """Writes a series whose files' names are not in the order of their positions."""
    names = [f"{number:02}.dcm" for number in range(len(voxels))][::-1]
    return [
        write_slice(folder / name, pixels, 4.0 * index, **options)
        for index, (name, pixels) in enumerate(zip(names, voxels, strict=True))
    ]


def random_voxels(shape=SHAPE):
    return RNG.integers(-1000, 1000, shape, "int16")


def cut(path, num_bytes):
    path.write_bytes(path.read_bytes()[:num_bytes])


def read_only(folder, **options):
    (volume,) = find_volumes(folder)
    return read_volume(volume, **options)


def test_dicom_series_are_sorted_by_position(tmp_path):
    voxels = random_voxels()
    write_series(tmp_path / "study" / "series", voxels)
    (volume,) = find_volumes(tmp_path)
    assert [path.name for path in volume.paths] == [
        "04.dcm",
        "03.dcm",
        "02.dcm",
        "01.dcm",
        "00.dcm",
    ]
    read = read_volume(volume)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, voxels)


def test_dicom_values_are_rescaled_to_hounsfield_units(tmp_path):
    path = write_slice(tmp_path / "a.dcm", random_voxels(SHAPE[1:]), slope=2, intercept=-1024)
    # The pixels end the file, as it is written here, without compression.
    raw = np.frombuffer(path.read_bytes()[-2 * 6 * 7 :], "int16").reshape(1, 6, 7)
    assert raw.min() < raw.max()
    np.testing.assert_array_equal(read_only(tmp_path), raw * 2.0 - 1024)


def test_nifti_values_are_rescaled_to_hounsfield_units(tmp_path):
    voxels = random_voxels()
    path = write_nifti(tmp_path / "a.nii", voxels)
    data = bytearray(path.read_bytes())
    struct.pack_into("<ff", data, 112, 2.0, -24.0)  # scl_slope and scl_inter of NIfTI-1.
    path.write_bytes(data)
    np.testing.assert_array_equal(read_only(tmp_path), voxels * 2.0 - 24)


@pytest.mark.parametrize("axis", ORIENTATIONS)
def test_orientation_is_common(tmp_path, axis):
    for number, direction in enumerate(DIRECTIONS):
        # Distances towards (L, P, S) in voxels, for each voxel as the file counts them.
        columns_first = np.moveaxis(np.indices(SHAPE[::-1]), 0, -1)
        left, back, up = np.moveaxis(columns_first @ direction.T, -1, 0)
        voxels = (100 * left + 10 * back + up).transpose().astype("int16")
        write_nifti(tmp_path / f"{number:02}.nii", voxels, direction=direction)
    steps = {
        "axial": (1, 10, 100),  # Slices go up, rows to the back, columns to the left.
        "coronal": (10, -1, 100),  # Slices go to the back, rows down, columns to the left.
        "sagittal": (100, -1, 10),  # Slices go to the left, rows down, columns to the back.
    }[axis]
    for volume in find_volumes(tmp_path):
        for number, step in enumerate(steps):
            differences = np.diff(read_volume(volume, axis=axis), axis=number)
            np.testing.assert_array_equal(differences, step, err_msg=volume.patient)


@pytest.mark.parametrize("spacing", [(1.5, 1.0, 0.5), (3.0, 2.0, 1.0)])
def test_finer_spacing_interpolates_linearly(tmp_path, spacing):
    depth, height, width = np.indices(SHAPE) * np.array([3.0, 2.0, 1.0])[:, None, None, None]
    write_nifti(tmp_path / "a.nii", (depth + 10 * height + 100 * width).astype("f4"), (1, 2, 3))
    read = read_only(tmp_path, spacing=spacing)
    factors = np.array([3.0, 2.0, 1.0]) / spacing
    assert read.shape == tuple(np.array(SHAPE) * factors)
    # Same centre; outside the centres of the outer voxels the value stays that of the edge.
    places = [
        np.clip(((np.arange(n) + 0.5) / f - 0.5), 0, m - 1) * s
        for n, f, m, s in zip(read.shape, factors, SHAPE, (3, 2, 1), strict=True)
    ]
    z, y, x = np.meshgrid(*places, indexing="ij")
    np.testing.assert_allclose(read, z + 10 * y + 100 * x, rtol=1e-5, atol=1e-3)


def test_coarser_spacing_keeps_a_ramp_and_removes_what_it_cannot_show(tmp_path):
    ramp = np.broadcast_to(10.0 * np.arange(40, dtype="f4"), (2, 3, 40))
    write_nifti(tmp_path / "ramp.nii", ramp)
    stripes = np.broadcast_to(np.float32(1000) * (np.arange(40) // 2 % 2), (2, 3, 40))
    write_nifti(tmp_path / "stripes.nii", stripes)
    ramp, stripes = (read_volume(v, spacing=(1, 1, 4)) for v in find_volumes(tmp_path))
    assert ramp.shape == (2, 3, 10)
    # New voxels lie in the middle of four old ones; the edges bend the two outermost.
    inside = slice(2, -2)
    middles = np.broadcast_to(10 * (4 * np.arange(10) + 1.5), ramp.shape)
    np.testing.assert_allclose(ramp[..., inside], middles[..., inside], rtol=1e-3)
    # The Gaussian's variance is 15 / (8 log 2) = 2.7 voxels**2, which leaves
    # exp(-2.7 * (2 pi / 4)**2 / 2) = 3.6 % of the stripes' amplitude of 500 * sqrt(2).
    np.testing.assert_allclose(stripes[..., inside], 500, atol=0.036 * 500 * 1.5)


def test_voxels_of_another_spacing_stay_inside(tmp_path):
    write_nifti(tmp_path / "a.nii", np.full((5, 5, 100), 7, "int16"), (0.7, 1, 1))
    read = read_only(tmp_path, spacing=(2, 9, 1))
    assert read.shape == (2, 1, 70)
    np.testing.assert_allclose(read, 7, rtol=1e-5)


def test_series_of_one_folder_are_told_apart(tmp_path):
    first, second = random_voxels(), random_voxels((3, 4, 4))
    write_series(tmp_path / "a", first, series="1.2.1")
    for index, pixels in enumerate(second):
        write_slice(tmp_path / "a" / f"x{index}", pixels, index, series="1.2.2")
    volumes = find_volumes(tmp_path)
    assert [len(volume.paths) for volume in volumes] == [5, 3]
    np.testing.assert_array_equal(read_volume(volumes[1]), second)


def test_a_series_in_two_folders_is_one_volume(tmp_path):
    voxels = random_voxels()
    for index, pixels in enumerate(voxels):
        write_slice(tmp_path / str(index % 2) / f"{index}.dcm", pixels, index)
    np.testing.assert_array_equal(read_only(tmp_path), voxels)


def test_patients_of_dicom(tmp_path):
    write_series(tmp_path / "a" / "study" / "1", random_voxels(), patient="P 7 ")
    write_series(tmp_path / "b" / "study" / "1", random_voxels(), patient="", series="")
    write_series(tmp_path / "b" / "study" / "2", random_voxels(), patient="", series="")
    assert [volume.patient for volume in find_volumes(tmp_path)] == ["P 7", "b", "b"]
    # Files that lie in the folder itself.
    (volume,) = find_volumes(tmp_path / "b" / "study" / "1")
    assert volume.patient == "1"


def test_patients_of_nifti(tmp_path):
    names = ["case_1.2.nii.gz", "deep/case_1.nii", "sub-01/sub-01_ses-2_ct.nii", "UPPER.NII"]
    for name in names[:3]:
        write_nifti(tmp_path / name, random_voxels())
    assert [v.patient for v in find_volumes(tmp_path)] == ["case_1", "case_1.2", "sub-01"]


def test_patients_by_function(tmp_path):
    write_nifti(tmp_path / "s1" / "ct.nii", random_voxels())
    write_slice(tmp_path / "s2" / "ct.dcm", random_voxels()[0])
    volumes = find_volumes(tmp_path, patient_of=lambda path: path.parent.name)
    assert [volume.patient for volume in volumes] == ["s1", "s2"]


def test_files_are_recognized_by_content(tmp_path):
    write_slice(tmp_path / "CT.1.3.12", random_voxels()[0])
    for name in ("LICENSE", "notes.txt", ".hidden.dcm", ".cache/a.dcm", "DICOMDIR"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no image")
    assert [path.name for v in find_volumes(tmp_path) for path in v.paths] == ["CT.1.3.12"]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_truncated_nifti_is_refused(tmp_path, name):
    path = write_nifti(tmp_path / name, random_voxels((20, 20, 20)))
    complete = path.read_bytes()
    # What SimpleITK does by itself, and why the length is checked.
    cut(path, len(complete) // 2)
    assert not sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[-5:].any()
    for length in (len(complete) - 1, len(complete) // 2, 400, 100):
        path.write_bytes(complete[:length])
        with pytest.raises(UnreadableVolumeError, match=f"Received: .*{name}.*on_error='skip'"):
            read_only(tmp_path)
    path.write_bytes(complete)
    assert read_only(tmp_path).shape == (20, 20, 20)


def test_nifti_with_a_wrong_check_sum_is_refused(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", random_voxels((60, 60, 60)))
    data = bytearray(path.read_bytes())
    data[-5] ^= 1  # The last byte of the check sum.
    path.write_bytes(data)
    with pytest.raises(UnreadableVolumeError, match="CRC"):
        read_only(tmp_path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.dcm"])
@pytest.mark.parametrize("content", [b"", b"no image"])
def test_foreign_and_empty_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableVolumeError, match=f"{name}.*{'' if content else 'it is empty'}"):
        read_only(tmp_path)


@pytest.mark.parametrize("voxels", [np.zeros((2, *SHAPE)), np.zeros(SHAPE[1:])])
def test_only_three_dimensions_are_read(tmp_path, voxels):
    write_nifti_of_any_shape(tmp_path / "a.nii", voxels)
    with pytest.raises(UnreadableVolumeError, match="no grey volume of three dimensions"):
        read_only(tmp_path)


def write_nifti_of_any_shape(path, voxels):
    sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=False), str(path))


def test_colours_are_refused(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((*SHAPE, 3), "uint8"), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    with pytest.raises(UnreadableVolumeError, match="no grey volume"):
        read_only(tmp_path)


def test_truncated_slices_are_named(tmp_path):
    paths = write_series(tmp_path, random_voxels())
    size = paths[2].stat().st_size
    for length in (size - 1, size - 84, 200, 0):
        cut(paths[2], length)
        with pytest.raises(UnreadableVolumeError, match="02.dcm"):
            find_volumes(tmp_path)


def test_empty_files_beside_a_series_are_slices(tmp_path):
    write_slice(tmp_path / "a" / "CT.1", random_voxels()[0])
    (tmp_path / "a" / "CT.2").touch()
    (tmp_path / "elsewhere").touch()
    with pytest.raises(UnreadableVolumeError, match="CT.2.*it is empty"):
        find_volumes(tmp_path)


@pytest.mark.parametrize("damage", ["gap", "double", "turned"])
def test_uneven_series_are_refused(tmp_path, damage):
    paths = write_series(tmp_path / "s", random_voxels())
    if damage == "gap":
        paths[2].unlink()
    elif damage == "double":
        (tmp_path / "s" / "copy.dcm").write_bytes(paths[2].read_bytes())
    else:
        turned = paths[2].read_bytes().replace(b"1\\0\\0\\0\\1\\0", b"0\\1\\0\\1\\0\\0")
        paths[2].write_bytes(turned)
    with pytest.raises(UnreadableVolumeError, match="s' .*slices of a series are not evenly"):
        find_volumes(tmp_path)
    skipped = []
    assert find_volumes(tmp_path, skipped=skipped) == []
    assert len(skipped) == 1 and "not evenly" in skipped[0]


def test_a_missing_end_only_shortens_a_series(tmp_path):
    voxels = random_voxels()
    cut(write_series(tmp_path, voxels)[-1], 200)
    skipped = []
    (volume,) = find_volumes(tmp_path, skipped=skipped)
    np.testing.assert_array_equal(read_volume(volume), voxels[:-1])
    assert len(skipped) == 1 and "00.dcm: " in skipped[0]


def test_a_file_that_vanishes_is_named(tmp_path):
    paths = write_series(tmp_path / "s", random_voxels())
    (volume,) = find_volumes(tmp_path)
    paths[1].unlink()
    with pytest.raises(UnreadableVolumeError, match=str(tmp_path / "s")):
        read_volume(volume)


def test_a_folder_must_exist(tmp_path):
    with pytest.raises(ValueError, match="no folder.*Received: folder=.*nowhere"):
        find_volumes(tmp_path / "nowhere")


def test_missing_simpleitk_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ImportError, match=r"pip install 'tfgen\[medical\]'"):
        find_volumes(tmp_path)
    with pytest.raises(ImportError, match=r"pip install 'tfgen\[medical\]'"):
        read_volume(VolumeFiles("p", (tmp_path / "a.nii",)))
