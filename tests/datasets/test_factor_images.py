"""Files of images with known factors, small ones of the same format as the published ones."""

import h5py
import keras
import numpy as np
import pytest
import scipy.io
from PIL import Image

from tfgen import metrics, models, networks
from tfgen.datasets import factor_images, load
from tfgen.datasets.factor_images import read_factor_images

SHAPES_SIZES = (3, 2, 2, 4, 3, 5)
MPI_SIZES = (3, 2, 2, 3, 2, 4, 5)
CARS_SIZES = (4, 6, 3)


def grid(sizes):
    """All combinations of factors, the last one fastest, shape (num_images, num_factors)."""
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=-1)


def images_of(factors):
    """uint8 images of 4 x 6 pixels from which the factors can be read."""
    images = np.zeros((len(factors), 4, 6, 3), "uint8")
    images.reshape(len(factors), -1)[:, : factors.shape[1]] = factors
    return images


def shapes_values(factors):
    """Values of the factors as in 3dshapes.h5."""
    orientation = np.linspace(-30, 30, SHAPES_SIZES[-1])[factors[:, 5]]
    return np.column_stack([factors[:, :3] / 10, factors[:, 3] / 7, factors[:, 4], orientation])


def write_shapes(folder, factors=None, **options):
    factors = grid(SHAPES_SIZES) if factors is None else factors
    with h5py.File(folder / "3dshapes.h5", "w") as file:
        file.create_dataset("images", data=images_of(factors), **options)
        file["labels"] = shapes_values(factors)


def write_mpi(folder, save=np.savez, name="mpi3d_toy"):
    save(folder / f"{name}.npz", images=images_of(grid(MPI_SIZES)))


def write_cars(folder):
    """Each car's pictures have one shade, from which the factors can be read."""
    (folder / "cars").mkdir()
    elevation, azimuth, car = np.indices(CARS_SIZES)
    shades = (elevation * 50 + azimuth * 8 + car).astype("uint8")
    for i in range(CARS_SIZES[2]):
        views = np.broadcast_to(shades[..., i].T, (128, 128, 3, CARS_SIZES[1], CARS_SIZES[0]))
        scipy.io.savemat(
            folder / "cars" / f"car_{i:03}_mesh.mat",
            {"im": views, "mask": np.ones((2, 2), "uint8")},
            do_compression=True,
        )
    (folder / "cars" / "list.txt").write_text("names")
    (folder / "cars" / "._car_000_mesh.mat").write_text("no file of MATLAB")


@pytest.fixture(autouse=True)
def small_mpi(monkeypatch):
    monkeypatch.setattr(factor_images, "_MPI_SIZES", (MPI_SIZES,))


CHUNKED = {"chunks": (7, 2, 3, 1), "compression": "gzip"}
WRITERS = {
    "shapes": ("3dshapes", write_shapes),
    "shapes, compressed": ("3dshapes", lambda folder: write_shapes(folder, **CHUNKED)),
    "mpi": ("mpi3d_toy", write_mpi),
    "mpi, compressed": ("mpi3d_toy", lambda folder: write_mpi(folder, np.savez_compressed)),
    "cars": ("cars3d", write_cars),
}


@pytest.fixture(params=WRITERS)
def files(request, tmp_path):
    """Name of a data set, and the folder of its files."""
    name, write = WRITERS[request.param]
    write(tmp_path)
    return name, tmp_path


def batch_of_all(name, folder, split="all", **options):
    dataset, info = load(name, split, 10**6, data_dir=folder, labels=True, **options)
    ((images, factors),) = [keras.tree.map_structure(np.asarray, batch) for batch in dataset]
    return images, factors, info


def read_off(name, images):
    """Factors that images show."""
    bytes_ = np.rint(images * 255).astype(int)
    if name == "cars3d":
        shade = bytes_[:, 0, 0, 0]
        return np.column_stack([shade // 50, shade % 50 // 8, shade % 50 % 8])
    num_factors = {"3dshapes": 6}.get(name, 7)
    return bytes_.reshape(len(images), -1)[:, :num_factors]


SIZES = {"3dshapes": SHAPES_SIZES, "mpi3d_toy": MPI_SIZES, "cars3d": CARS_SIZES}


@pytest.mark.parametrize("cache", [False, True])
def test_images_come_with_the_factors_that_they_show(files, cache, monkeypatch):
    """Each combination once, in chunks of a few images."""
    name, folder = files
    monkeypatch.setattr(factor_images, "chunk_length", lambda _: 16)
    for _ in range(2):  # The second time from the cache.
        options = {"cache_dir": folder / "cache"} if cache else {}
        images, factors, info = batch_of_all(name, folder, **options)
        assert info.factor_sizes == SIZES[name] and len(info.factor_names) == len(SIZES[name])
        assert factors.dtype == np.int32 and info.name == name
        np.testing.assert_array_equal(read_off(name, images), factors)
        assert len(np.unique(factors, axis=0)) == len(factors) == np.prod(SIZES[name])


def test_what_is_in_the_cache_is_not_unpacked_again(files, monkeypatch):
    name, folder = files
    expected = batch_of_all(name, folder, cache_dir=folder / "cache")
    monkeypatch.setattr(factor_images, "with_progress", lambda *_: pytest.fail("unpacked again"))
    again = batch_of_all(name, folder, cache_dir=folder / "cache")
    np.testing.assert_array_equal(again[0], expected[0])
    assert len(list((folder / "cache").iterdir())) == 1


def test_a_tenth_is_held_out(files):
    name, folder = files
    parts = [batch_of_all(name, folder, split)[1] for split in ("train", "test")]
    assert len(parts[1]) == np.prod(SIZES[name]) // 10
    assert len(np.unique(np.concatenate(parts), axis=0)) == np.prod(SIZES[name])
    assert len(np.unique(parts[1][:, 0])) == SIZES[name][0]  # At random, not the last ones.
    half = batch_of_all(name, folder, "train[:50%]")[1]
    assert len(half) == len(parts[0]) // 2


def test_what_is_not_compressed_stays_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(factor_images, "_MOST_OF_MEMORY", 0)
    write_shapes(tmp_path)
    write_mpi(tmp_path)
    for name in ("3dshapes", "mpi3d_toy"):
        images, factors, _ = batch_of_all(name, tmp_path)
        np.testing.assert_array_equal(read_off(name, images), factors)


def test_what_does_not_fit_in_memory_needs_a_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(factor_images, "_MOST_OF_MEMORY", 0)
    write_shapes(tmp_path, **CHUNKED)
    with pytest.raises(ValueError, match=r"Received: .*3dshapes\.h5.* GB. Pass cache_dir"):
        load("3dshapes", data_dir=tmp_path)
    load("3dshapes", data_dir=tmp_path, cache_dir=tmp_path / "cache")


def test_factors_of_shapes_are_found_in_any_order(tmp_path):
    write_shapes(tmp_path, np.random.default_rng(0).permutation(grid(SHAPES_SIZES)))
    images, factors, _ = batch_of_all("3dshapes", tmp_path)
    np.testing.assert_array_equal(read_off("3dshapes", images), factors)


def test_other_sizes(files):
    name, folder = files
    images, _, info = batch_of_all(name, folder, image_size=(8, 12))
    assert images.shape[1:] == info.image_shape == (8, 12, 3)


def test_cars_are_shrunk_as_by_disentanglement_lib(tmp_path):
    """By Pillow's method `thumbnail` with the filter LANCZOS."""
    write_cars(tmp_path)
    views = np.random.default_rng(0).integers(0, 256, (128, 128, 3, 6, 4), "uint8")
    scipy.io.savemat(tmp_path / "cars" / "car_000_mesh.mat", {"im": views})
    images, factors, _ = batch_of_all("cars3d", tmp_path)
    for image, (elevation, azimuth, car) in zip(images, factors, strict=True):
        if car == 0:
            expected = Image.fromarray(views[..., azimuth, elevation])
            expected.thumbnail((64, 64), Image.Resampling.LANCZOS)
            np.testing.assert_array_equal(np.rint(image * 255), expected)


@pytest.mark.parametrize("place", ["", "data", "cars3d"])
def test_folders_of_cars(tmp_path, place):
    (tmp_path / place).mkdir(exist_ok=True)
    write_cars(tmp_path / place)
    for data_dir in (tmp_path, tmp_path / place / "cars"):
        assert read_factor_images("cars3d", data_dir=data_dir).factor_sizes == CARS_SIZES


@pytest.mark.parametrize("name", factor_images.FACTOR_IMAGES)
def test_what_is_missing_is_said(tmp_path, name):
    file = {"3dshapes": "3dshapes.h5", "cars3d": "cars"}.get(name, f"{name}.npz")
    with pytest.raises(FileNotFoundError, match=rf"{file}.*Received: data_dir=.*Download it"):
        load(name, data_dir=tmp_path)
    with pytest.raises(ValueError, match=rf"{file}.*Received: data_dir=None. Pass data_dir"):
        load(name)
    with pytest.raises(ValueError, match="not downloaded. Received: download=True"):
        load(name, data_dir=tmp_path, download=True)


def test_names_that_are_almost_right():
    with pytest.raises(ValueError, match=r"Did you mean one of \['3dshapes'"):
        load("3dshape")
    with pytest.raises(ValueError, match=r"Did you mean one of .*'mpi3d_toy'"):
        load("mpi3d")


def assert_named(path, name, folder):
    with pytest.raises(ValueError, match=rf"{path.name} is damaged.*Received: \d+ bytes"):
        batch_of_all(name, folder)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_files_that_are_cut_short_are_named(files, part):
    name, folder = files
    (path,) = [*folder.glob("*.*"), *folder.glob("cars/car_001*")]
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    assert_named(path, name, folder)


def overwrite(path, place):
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\0" * 8
    path.write_bytes(content)


def test_damaged_bytes_of_compressed_files_are_named(tmp_path):
    for name, (_, write) in {"3dshapes": WRITERS["shapes, compressed"]}.items():
        write(tmp_path)
        path = tmp_path / "3dshapes.h5"
        with h5py.File(path) as file:
            place = file["images"].id.get_chunk_info(3).byte_offset
        content = bytearray(path.read_bytes())
        content[place : place + 8] = b"\0" * 8
        path.write_bytes(content)
        assert_named(path, name, tmp_path)


@pytest.mark.parametrize(
    "images, labels",
    [
        (np.zeros((6, 4, 4, 3), "float32"), np.zeros((6, 6))),
        (np.zeros((6, 4, 4), "uint8"), np.zeros((6, 6))),
        (np.zeros((0, 4, 4, 3), "uint8"), np.zeros((0, 6))),
        (np.zeros((6, 4, 4, 3), "uint8"), np.zeros((5, 6))),
        (np.zeros((6, 4, 4, 3), "uint8"), np.zeros((6, 5))),
        (np.zeros((6, 4, 4, 3), "uint8"), np.full((6, 6), np.nan)),
        (np.zeros((6, 4, 4, 3), "uint8"), np.zeros((6, 6))),  # 1 combination, 6 images.
        (np.zeros((6, 4, 4, 3), "uint8"), None),
    ],
)
def test_other_hdf5_files_are_refused(tmp_path, images, labels):
    with h5py.File(tmp_path / "3dshapes.h5", "w") as file:
        file["images"] = images
        if labels is not None:
            file["labels"] = labels
    assert_named(tmp_path / "3dshapes.h5", "3dshapes", tmp_path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pictures": images_of(grid(MPI_SIZES))},
        {"images": images_of(grid(MPI_SIZES)[:-1])},
        {"images": images_of(grid(MPI_SIZES)).astype("float32")},
        {"images": images_of(grid(MPI_SIZES))[..., 0]},
        {"images": np.asfortranarray(images_of(grid(MPI_SIZES)))},
    ],
)
def test_other_npz_files_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "mpi3d_real.npz", **arrays)
    assert_named(tmp_path / "mpi3d_real.npz", "mpi3d_real", tmp_path)


def test_cars_of_other_views_are_refused(tmp_path):
    write_cars(tmp_path)
    path = tmp_path / "cars" / "car_001_mesh.mat"
    scipy.io.savemat(path, {"im": np.zeros((8, 8, 3, 6, 2), "uint8")})
    with pytest.raises(ValueError, match="different sides. Received: .*car_001"):
        load("cars3d", data_dir=tmp_path)
    scipy.io.savemat(path, {"im": np.zeros((8, 8, 3, 6), "uint8")})
    assert_named(path, "cars3d", tmp_path)
    for file in (tmp_path / "cars").glob("*.mat"):
        file.unlink()
    with pytest.raises(ValueError, match="no cars. Received"):
        load("cars3d", data_dir=tmp_path)


@pytest.mark.slow
def test_a_report_names_the_factors(tmp_path):
    write_shapes(tmp_path)
    shape = (4, 6, 3)
    model = models.VAE(
        networks.mlp_encoder(shape, 3, width=8), networks.mlp_decoder(shape, 3, width=8)
    )
    test = load("3dshapes", "all", data_dir=tmp_path, labels=True, shuffle=True)
    report = metrics.disentanglement_report(model, test, 200, seeds=(0,), verbose=False)
    assert report.factor_names == test[1].factor_names
    assert report.mutual_information.shape == (3, 6)
