"""`load_volumes`, from a folder of volumes to batches of slices and patches."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfgen.datasets import load_volumes, medical, split_patients
from tfgen.datasets.volumes import UnreadableVolumeError

sitk = pytest.importorskip("SimpleITK", reason="needs pip install 'tfgen[medical]'")

needs_ct = pytest.mark.skipif(
    "TFGEN_CT_DIR" not in os.environ, reason="TFGEN_CT_DIR names no folder of CT volumes"
)
RNG = np.random.default_rng(0)
SHAPE = (6, 8, 10)
ALL = {"split": "all", "window": (0, 1024), "value_range": (0, 1)}


def write(path, voxels, spacing=(1.0, 1.0, 1.0)):
    """Writes a volume of shape (depth, height, width) and spacing in the same order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.asarray(voxels))
    image.SetSpacing(spacing[::-1])
    sitk.WriteImage(image, str(path))
    return path


def ramp(start=0, shape=SHAPE):
    """Voxels that are all different, multiples of 1 / 1024 of the window of `ALL`."""
    return (start + np.arange(np.prod(shape))).reshape(shape).astype("int16")


def write_patients(folder, num_patients, shape=SHAPE):
    """A volume for each patient, whose voxels all hold the patient's number."""
    for number in range(num_patients):
        write(folder / f"p{number:02}.nii", np.full(shape, number, "int16"))


def epoch_of(dataset):
    return np.concatenate([batch.numpy() for batch in dataset])


def patients_in(dataset):
    """Numbers of the patients in the batches, as `write_patients` has them."""
    return set(np.rint(epoch_of(dataset) * 1024).astype(int).ravel())


# Slices.


def test_slices_arrive_in_order_within_the_window(tmp_path):
    write(tmp_path / "a.nii", ramp())
    write(tmp_path / "b.nii.gz", ramp(500))
    dataset, info = load_volumes(tmp_path, **ALL, batch_size=5)
    expected = np.concatenate([ramp(), ramp(500)])[..., None] / 1024
    # float16 has 11 bits: it holds whole numbers up to 2048, and these are at most 980 / 1024.
    np.testing.assert_array_equal(epoch_of(dataset), expected)
    assert len(dataset) == 3 and dataset.element_spec == tf.TensorSpec((None, 8, 10, 1), tf.float32)
    assert info == medical.VolumesInfo(
        name=tmp_path.name,
        split="all",
        image_shape=(8, 10, 1),
        value_range=(0.0, 1.0),
        num_examples=12,
        patients=("a", "b"),
        window=(0.0, 1024.0),
    )


def test_the_window_is_mapped_to_the_value_range(tmp_path):
    values = np.array([-1000, -160, -60, 40, 140, 240, 3000], "int16")
    write(tmp_path / "a.nii", values[:, None, None])
    read = epoch_of(load_volumes(tmp_path, "all")[0]).ravel()
    np.testing.assert_array_equal(read, [-1, -1, -0.5, 0, 0.5, 1, 1])
    read = epoch_of(load_volumes(tmp_path, "all", window=(40, 240), value_range=(0, 4))[0])
    np.testing.assert_array_equal(read.ravel(), [0, 0, 0, 0, 2, 4, 4])


def test_rounding_is_small(tmp_path):
    values = RNG.uniform(-200, 300, (3, 20, 20)).astype("f4")
    write(tmp_path / "a.nii", values)
    read = epoch_of(load_volumes(tmp_path, "all", value_range=(0, 1))[0])[..., 0]
    exact = np.clip((values + 160) / 400, 0, 1)
    # Half a unit in the last place of float16 below 1: 2**-12 = 0.00024.
    np.testing.assert_allclose(read, exact, rtol=0, atol=2.0**-12 + 1e-6)


def test_slices_across_other_axes(tmp_path):
    write(tmp_path / "a.nii", ramp())
    coronal, _ = load_volumes(tmp_path, **ALL, axis="coronal")
    upright = ramp()[::-1] / 1024  # Rows run to the feet.
    np.testing.assert_array_equal(epoch_of(coronal)[..., 0], np.moveaxis(upright, 1, 0))
    sagittal, _ = load_volumes(tmp_path, **ALL, axis="sagittal")
    np.testing.assert_array_equal(epoch_of(sagittal)[..., 0], np.moveaxis(upright, 2, 0))


def test_size_alone_averages(tmp_path):
    write(tmp_path / "a.nii", 4 * ramp((0), (2, 8, 10)))
    dataset, info = load_volumes(tmp_path, **ALL, size=(4, 5))
    blocks = (4 * ramp(0, (2, 8, 10)) / 1024).reshape(2, 4, 2, 5, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(epoch_of(dataset)[..., 0], blocks)
    assert info.image_shape == (4, 5, 1)


def test_size_with_spacing_crops_and_pads(tmp_path):
    write(tmp_path / "a.nii", ramp(1), spacing=(2.0, 1.0, 1.0))
    read = epoch_of(load_volumes(tmp_path, **ALL, size=(11, 4), spacing=(2, 1, 1))[0])[..., 0]
    assert read.shape == (6, 11, 4)
    np.testing.assert_array_equal(read[:, 1:9], ramp(1)[:, :, 3:7] / 1024)
    assert not read[:, [0, 9, 10]].any()


def test_spacing_makes_voxels_equal(tmp_path):
    write(tmp_path / "a.nii", np.full((4, 6, 8), 512, "int16"), spacing=(3.0, 2.0, 1.0))
    dataset, info = load_volumes(tmp_path, **ALL, spacing=2)
    assert (info.num_examples, *info.image_shape) == (6, 6, 4, 1)
    np.testing.assert_allclose(epoch_of(dataset), 0.5, rtol=1e-3)


def test_slices_of_different_sizes_need_size(tmp_path):
    write(tmp_path / "a.nii", ramp())
    write(tmp_path / "b.nii", ramp(0, (2, 4, 5)))
    with pytest.raises(ValueError, match=r"b.nii' of \(4, 5\). Pass size"):
        load_volumes(tmp_path, **ALL)
    assert load_volumes(tmp_path, **ALL, size=8)[1].image_shape == (8, 8, 1)


def test_slices_without_body_are_left_out_on_demand(tmp_path):
    voxels = np.full((4, 10, 10), -1000, "int16")
    for index, num_rows in enumerate((0, 1, 2, 10)):
        voxels[index, :num_rows] = 10 * index
    write(tmp_path / "a.nii", voxels)
    assert load_volumes(tmp_path, "all")[1].num_examples == 4
    dataset, info = load_volumes(tmp_path, **ALL, min_body=0.2)
    assert info.num_examples == 2
    np.testing.assert_array_equal(epoch_of(dataset)[:, 0, 0, 0], np.array([20, 30]) / 1024)
    write(tmp_path / "a.nii", np.full_like(voxels, -1000))
    with pytest.raises(ValueError, match="No volume of the split is left.*lower min_body"):
        load_volumes(tmp_path, "all", min_body=0.2)


# Splits.


def test_patients_are_never_on_both_sides(tmp_path):
    write_patients(tmp_path, 12)
    options = {"window": (0, 1024), "value_range": (0, 1), "test_fraction": 0.4}
    names = {f"p{number:02}" for number in range(12)}
    for split_seed in range(3):
        (train, train_info), (test, test_info) = (
            load_volumes(tmp_path, split, split_seed=split_seed, seed=number, **options)
            for number, split in enumerate(("train", "test"))
        )
        assert patients_in(train).isdisjoint(patients_in(test))
        assert patients_in(train) | patients_in(test) == set(range(12))
        assert set(train_info.patients) == names - set(test_info.patients)
        assert patients_in(test) == {int(name[1:]) for name in test_info.patients}


def test_all_volumes_of_a_patient_stay_together(tmp_path):
    for number in range(12):
        for visit in range(2):
            path = tmp_path / f"sub-{number:02}_ses-{visit}.nii"
            write(path, np.full((2, 3, 4), number, "int16"))
    options = {"window": (0, 1024), "value_range": (0, 1)}
    train, info = load_volumes(tmp_path, "train", **options)
    test, _ = load_volumes(tmp_path, "test", **options)
    assert patients_in(train).isdisjoint(patients_in(test))
    assert info.num_examples == len(info.patients) * 2 * 2


def test_slices_of_splits_count_patients(tmp_path):
    write_patients(tmp_path, 12)
    parts = [
        set(load_volumes(tmp_path, split, batch_size=1)[1].patients)
        for split in ("train[:50%]", "train[50%:]", "test")
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 12


def test_added_patients_move_nobody():
    names = [f"p{number}" for number in range(60)]
    before, after = split_patients(names[:30]), split_patients(names[::-1])
    assert set(before["test"]) < set(after["test"])
    assert set(before["train"]) < set(after["train"])


def test_a_larger_fraction_only_moves_patients_to_test():
    names = [f"p{number}" for number in range(30)]
    assert set(split_patients(names, 0.2)["test"]) < set(split_patients(names, 0.6)["test"])


def test_the_fraction_is_the_chance_of_each_patient():
    names = [f"p{number}" for number in range(4000)]
    num_test = len(split_patients(names, 0.3)["test"])
    assert abs(num_test - 1200) < 5 * np.sqrt(4000 * 0.3 * 0.7)  # 5 standard errors.
    other = split_patients(names, 0.3, split_seed=1)["test"]
    # Two independent divisions share 0.3 * 0.3 of the patients.
    shared = len(set(other) & set(split_patients(names, 0.3)["test"]))
    assert abs(shared - 360) < 5 * np.sqrt(4000 * 0.09 * 0.91)


def test_one_patient_can_only_be_trained_on_without_a_test_split(tmp_path):
    write_patients(tmp_path, 1)
    for split in ("train", "test"):
        with pytest.raises(ValueError, match="1 patients, among them .'p00'.*test_fraction=0 to"):
            load_volumes(tmp_path, split)
    assert load_volumes(tmp_path, "train", test_fraction=0)[1].patients == ("p00",)
    assert load_volumes(tmp_path, "all")[1].patients == ("p00",)
    with pytest.raises(ValueError, match="No such split.*Received: split='test'"):
        load_volumes(tmp_path, "test", test_fraction=0)


@pytest.mark.parametrize("test_fraction", [-0.1, 1, 2])
def test_the_fraction_has_a_range(test_fraction):
    with pytest.raises(ValueError, match=f"Received: test_fraction={test_fraction}"):
        split_patients("abc", test_fraction)


# Order and position.


@pytest.mark.parametrize(
    "kind",
    [{}, {"kind": "patches", "size": 3}, {"kind": "patches", "size": 3, "num_patches": 5}],
    ids=["slices", "grid", "random"],
)
def test_a_new_process_goes_on_bit_for_bit(tmp_path, kind):
    write(tmp_path / "a.nii", ramp())
    write(tmp_path / "b.nii", ramp(500))
    options = {**kind, "batch_size": 3, "test_fraction": 0, "seed": 4, "window": (0, 1024)}
    uninterrupted, _ = load_volumes(tmp_path, **options)
    epochs = [list(uninterrupted) for _ in range(3)]
    assert (epochs[0][0] != epochs[1][0]).numpy().any()
    resumed, _ = load_volumes(tmp_path, **options)
    resumed.seek(2, 1)
    for batch, expected in zip(resumed, epochs[2][1:], strict=True):
        np.testing.assert_array_equal(batch, expected)
    other, _ = load_volumes(tmp_path, **{**options, "seed": 5})
    assert (next(iter(other)) != epochs[0][0]).numpy().any()


def test_only_training_splits_are_shuffled(tmp_path):
    write_patients(tmp_path, 9)
    in_order = epoch_of(load_volumes(tmp_path, "all", window=(0, 9))[0])
    np.testing.assert_array_equal(in_order, np.sort(in_order, axis=0))
    for options, shuffled in [({}, True), ({"shuffle": False}, False)]:
        train, _ = load_volumes(tmp_path, "train", test_fraction=0, window=(0, 9), **options)
        assert (epoch_of(train) != in_order).any() == shuffled


def test_a_small_last_batch_can_be_left_out(tmp_path):
    write(tmp_path / "a.nii", ramp())
    dataset, _ = load_volumes(tmp_path, "all", 4, drop_remainder=True)
    assert [len(batch) for batch in dataset] == [4]


# Patches.


def test_a_grid_of_patches_covers_each_volume(tmp_path):
    shapes = [(5, 8, 10), (4, 4, 7)]
    starts = [1, 500]  # No two voxels are equal, and none is that of the padding.
    for index, (start, shape) in enumerate(zip(starts, shapes, strict=True)):
        write(tmp_path / f"{index}.nii", ramp(start, shape))
    dataset, info = load_volumes(tmp_path, **ALL, kind="patches", size=(4, 4, 5), batch_size=7)
    patches = np.rint(epoch_of(dataset)[..., 0] * 1024).astype(int)
    # Pieces of each axis: 5 / 4, 8 / 4, 10 / 5, and 4 / 4, 4 / 4, 7 / 5, rounded up.
    assert info.num_examples == len(patches) == 2 * 2 * 2 + 2
    assert info.image_shape == (4, 4, 5, 1)
    voxels = np.concatenate([ramp(*args).ravel() for args in zip(starts, shapes, strict=True)])
    assert set(patches.ravel()) == set(voxels)
    assert_boxes(patches[:8], ramp(1, shapes[0]))
    assert_boxes(patches[8:], ramp(500, shapes[1]))


def assert_boxes(patches, volume):
    """Each patch is a part of the volume; its first voxel tells which."""
    for patch in patches:
        (z,), (y,), (x,) = np.nonzero(volume == patch[0, 0, 0])
        depth, height, width = patch.shape
        np.testing.assert_array_equal(patch, volume[z : z + depth, y : y + height, x : x + width])


def test_random_patches_lie_everywhere_alike(tmp_path):
    shapes = [(3, 4, 5), (2, 6, 4)]
    for index, shape in enumerate(shapes):
        write(tmp_path / f"{index}.nii", ramp(500 * index, shape))
    options = {**ALL, "kind": "patches", "size": 2, "num_patches": 2400}
    dataset, info = load_volumes(tmp_path, **options, shuffle=True, batch_size=100)
    assert info.num_examples == 4800
    patches = np.rint(epoch_of(dataset)[..., 0] * 1024).astype(int)
    of_second = patches[:, 0, 0, 0] >= 500
    assert of_second.sum() == 2400
    for part, volume in [
        (patches[~of_second], ramp(0, shapes[0])),
        (patches[of_second], ramp(500, shapes[1])),
    ]:
        assert_boxes(part[:200], volume)
        counts = np.unique(part[:, 0, 0, 0], return_counts=True)[1]
        num_places = np.prod(np.array(volume.shape) - 1)
        assert len(counts) == num_places  # 24 and 15.
        expected = 2400 / num_places
        # Chi-squared: mean 23 and 14; 60 is exceeded with a probability below 4e-5.
        assert ((counts - expected) ** 2 / expected).sum() < 60


def test_small_volumes_are_padded(tmp_path):
    write(tmp_path / "a.nii", ramp(1, (2, 3, 4)))
    for num_patches in (None, 1):
        dataset, _ = load_volumes(
            tmp_path, **ALL, kind="patches", size=(4, 4, 4), num_patches=num_patches
        )
        (patch,) = epoch_of(dataset)[..., 0]
        np.testing.assert_array_equal(patch[1:3, :3], ramp(1, (2, 3, 4)) / 1024)
        assert patch[0].sum() == patch[3].sum() == patch[:, 3].sum() == 0


# Files.


def damaged_folder(folder):
    """Two good patients, a truncated and an empty file."""
    write_patients(folder, 4)
    truncated = folder / "p01.nii"
    truncated.write_bytes(truncated.read_bytes()[:-100])
    (folder / "p02.nii").write_bytes(b"")
    return folder


def test_damaged_files_are_named_by_default(tmp_path):
    with pytest.raises(UnreadableVolumeError, match="Received: .*p01.nii.*on_error='skip'"):
        load_volumes(damaged_folder(tmp_path), "all")


def test_damaged_files_are_skipped_on_demand(tmp_path):
    with pytest.warns(UserWarning, match="Skipped 2 unreadable") as warnings:
        dataset, info = load_volumes(damaged_folder(tmp_path), **ALL, on_error="skip")
    assert pathlib.Path(warnings[0].filename).name == "test_medical.py"
    assert info.patients == ("p00", "p03") and patients_in(dataset) == {0, 3}
    assert len(info.skipped) == 2
    assert "p01.nii: it has" in info.skipped[0] and "p02.nii: it is empty" in info.skipped[1]


def test_whole_folders_need_no_warning(tmp_path, recwarn):
    write_patients(tmp_path, 2)
    assert load_volumes(tmp_path, "all", on_error="skip")[1].skipped == ()
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_nothing_left_is_an_error(tmp_path):
    (tmp_path / "a.nii").touch()
    with pytest.raises(ValueError, match="No volume of the split is left.*1 files or series were"):
        load_volumes(tmp_path, "all", on_error="skip")
    (tmp_path / "a.nii").rename(tmp_path / "a.dcm")
    with pytest.raises(ValueError, match="no medical volumes.*of which 1 files or series"):
        load_volumes(tmp_path, "all", on_error="skip")


def test_a_folder_without_volumes_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no volume")
    with pytest.raises(ValueError, match="no medical volumes. Received: folder=.*Expected DICOM"):
        load_volumes(tmp_path)


def test_volumes_are_prepared_once(tmp_path, monkeypatch):
    write(tmp_path / "ct" / "a.nii", ramp())
    cache = tmp_path / "deep" / "cache"
    first = epoch_of(load_volumes(tmp_path / "ct", **ALL, cache_dir=cache)[0])
    (file,) = cache.iterdir()
    assert file.suffix == ".npz"
    with monkeypatch.context() as patch:
        patch.setattr(medical, "read_volume", None)
        again = epoch_of(load_volumes(str(tmp_path / "ct"), **ALL, cache_dir=str(cache))[0])
    np.testing.assert_array_equal(again, first)
    # Other arguments and changed files are read anew.
    load_volumes(tmp_path / "ct", "all", cache_dir=cache)
    assert len(list(cache.iterdir())) == 2
    write(tmp_path / "ct" / "a.nii", ramp(7))
    changed = epoch_of(load_volumes(tmp_path / "ct", **ALL, cache_dir=cache)[0])
    np.testing.assert_array_equal(changed[..., 0], ramp(7) / 1024)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("damage", ["bit", "header", "cut", "empty", "garbage", "no entry"])
def test_a_damaged_cache_is_refused(tmp_path, damage, on_error):
    def load():
        cache = tmp_path / "cache"
        return epoch_of(load_volumes(tmp_path / "ct", **ALL, cache_dir=cache, on_error=on_error)[0])

    write(tmp_path / "ct" / "a.nii", ramp())
    load()
    (file,) = (tmp_path / "cache").iterdir()
    whole = bytearray(file.read_bytes())
    position = {"bit": len(whole) // 2, "header": whole.index(b"'shape': (") + 10}.get(damage, 0)
    whole[position] ^= damage in ("bit", "header")
    content = {"cut": whole[:500], "empty": b"", "garbage": b"garbage"}.get(damage, whole)
    file.write_bytes(content)
    if damage == "no entry":
        np.savez(file)
    with pytest.raises(ValueError, match=f"^{file} is damaged. .*Delete it and call again"):
        load()
    file.unlink()
    np.testing.assert_array_equal(load()[..., 0], ramp() / 1024)


def test_an_interrupted_cache_is_not_used(tmp_path, monkeypatch):
    write(tmp_path / "ct" / "a.nii", ramp())

    def interrupted_save(path, array):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("numpy.savez", interrupted_save)
        load_volumes(tmp_path / "ct", **ALL, cache_dir=tmp_path / "cache")
    dataset, _ = load_volumes(tmp_path / "ct", **ALL, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(epoch_of(dataset)[..., 0], ramp() / 1024)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "boxes"}, r"\['slices', 'patches'\]. Received: kind='boxes'"),
        ({"axis": "z"}, "Received: axis='z'"),
        ({"on_error": "ignore"}, "Received: on_error='ignore'"),
        ({"split": None}, "Received: split=None"),
        ({"split": "validation"}, "Received: split='validation'"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"batch_size": 99, "drop_remainder": True}, "no batch. Received: 24 images"),
        ({"window": (240, -160)}, r"low < high. Received: window=\(240, -160\)"),
        ({"window": (0, np.inf)}, r"Received: window=\(0, inf\)"),
        ({"value_range": (1, 1)}, r"Received: value_range=\(1, 1\)"),
        ({"spacing": 0}, "Received: spacing=0"),
        ({"spacing": (1, 1)}, r"\(depth, height, width\). Received: spacing=\(1, 1\)"),
        ({"size": (8, 8, 8)}, r"2 ints, at least 1. Received: size=\(8, 8, 8\)"),
        ({"size": 0}, "Received: size=0"),
        ({"kind": "patches", "size": (8, 8)}, r"3 ints.*Received: size=\(8, 8\)"),
        ({"kind": "patches"}, "Received: kind='patches', size=None"),
        ({"kind": "patches", "size": 8, "min_body": 0.1}, "Received: .*min_body=0.1"),
        ({"kind": "patches", "size": 8, "num_patches": 0}, "Received: .*num_patches=0"),
        ({"num_patches": 4}, "Received: kind='slices', num_patches=4"),
        ({"min_body": 2}, "Received: min_body=2"),
        ({"test_fraction": 1}, "Received: test_fraction=1"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_unusable_arguments_are_refused(tmp_path, arguments, message):
    write_patients(tmp_path, 4)
    with pytest.raises(ValueError, match=message):
        load_volumes(tmp_path, **{"split": "train", "test_fraction": 0, **arguments})


# Real volumes: an abdomen as DICOM series, 20 slices, and another one as NIfTI file, RAS.


@needs_ct
@pytest.mark.real_data
def test_real_volumes_hold_two_patients_in_hounsfield_units():
    dataset, info = load_volumes(
        os.environ["TFGEN_CT_DIR"], "all", size=64, window=(-1000, 1000), value_range=(-1000, 1000)
    )
    assert len(info.patients) == 2
    assert (info.image_shape, info.num_examples) == ((64, 64, 1), 20 + 112)
    images = epoch_of(dataset)
    for volume in (images[:20], images[20:]):
        # Air is -1000 and soft tissue 0 to 100, each a large part of an abdomen's slice.
        assert (volume < -900).mean() > 0.2
        assert ((volume > 0) & (volume < 150)).mean() > 0.15


@needs_ct
@pytest.mark.real_data
def test_real_patients_lie_on_their_back_with_the_liver_on_the_left():
    images = epoch_of(load_volumes(os.environ["TFGEN_CT_DIR"], "all", size=64)[0])[..., 0]
    for volume in (images[:20], images[-20:]):  # Both through the liver.
        bone = volume == 1
        rows = np.nonzero(bone[:, :, 26:38])[1]
        assert np.median(rows) > 32  # The spine is in the middle below.
        soft = (volume > -0.1) & (volume < 0.8)  # 20 to 200 Hounsfield units.
        left, right = soft[:, 16:40, 10:26].mean(), soft[:, 16:40, 38:54].mean()
        assert left > 1.1 * right


@needs_ct
@pytest.mark.real_data
@pytest.mark.parametrize("name", ["dicom_series", "example_ct.nii.gz"])
def test_a_real_patient_alone_can_be_trained_on(tmp_path, name):
    (tmp_path / name).symlink_to(pathlib.Path(os.environ["TFGEN_CT_DIR"], name).resolve())
    folder = tmp_path / name if name == "dicom_series" else tmp_path
    with pytest.raises(ValueError, match="test_fraction=0"):
        load_volumes(folder, size=32)
    dataset, info = load_volumes(folder, size=32, test_fraction=0)
    assert info.patients == (name.removesuffix(".nii.gz"),)
    images = epoch_of(dataset)
    assert (images.min(), images.max()) == (-1, 1)


@needs_ct
@pytest.mark.real_data
def test_real_dicom_values_are_those_of_its_tags():
    """The header's rescale intercept is -1024: air, stored as 0 by the scanner, is -1024."""
    folder = pathlib.Path(os.environ["TFGEN_CT_DIR"], "dicom_series")
    options = {"window": (-1024, 1024), "value_range": (-1024, 1024), "spacing": 2}
    dataset, info = load_volumes(folder, "all", **options)
    # 512 pixels of 0.9765625 mm and 20 slices 2 mm apart.
    assert (info.num_examples, *info.image_shape) == (20, 250, 250, 1)
    assert epoch_of(dataset).min() == -1024
