"""Reading FFCV files (.beton), and importing FFCV.

Three properties are added to FFCV's own loader: random crops that depend on the seed alone (FFCV draws them
from unseeded thread-local generators), re-use of compiled code for another subset of images, and no waiting
for ever on a damaged file (its size is compared with the manifest first).
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError, DataError, SetupError
from transferlens.core.seeding import seed_for
from transferlens.data.artefacts import MANIFEST

_SYSTEM_PACKAGES = {
    "libopencv": "libopencv-dev",
    "libturbojpeg": "libturbojpeg0-dev",
    "libGL": "libgl1",
    "libglib": "libglib2.0-0",
}
# Up to this many images, decoding in plain Python ends before Numba would have compiled the decoder.
_IMAGES_WORTH_COMPILING = 50_000
_BUFFER_BYTES = 2 << 30


@contextmanager
def imported() -> Iterator[Any]:
    """Import ffcv without its side effects on this process.

    Importing FFCV sets torch's thread count to 1, and fills a Numba typed dictionary with two write modes,
    which compiles for five seconds; a plain dictionary serves it as well, as only Python code reads it.
    """
    threads = torch.get_num_threads()
    try:
        if "ffcv" not in sys.modules:
            import numba.typed

            typed_dict, numba.typed.Dict = numba.typed.Dict, dict
            try:
                import ffcv
            finally:
                numba.typed.Dict = typed_dict
            _hush_numba_finalizers()
        import ffcv

        yield ffcv
    except ImportError as error:
        raise SetupError(_explain_import(error)) from error
    finally:
        torch.set_num_threads(threads)


def _hush_numba_finalizers() -> None:
    """Keep quiet about KeyErrors in Numba's own clean-up of FFCV's compiled decoders; they mean nothing."""
    report = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        trace = unraisable.exc_traceback
        while trace and trace.tb_next:
            trace = trace.tb_next
        in_numba = trace is not None and "numba" in trace.tb_frame.f_code.co_filename
        if not (in_numba and unraisable.exc_type is KeyError):
            report(unraisable)

    sys.unraisablehook = hook


def _explain_import(error: ImportError) -> str:
    """The package to install, from the dynamic loader's message."""
    missing = re.search(r"(lib\w+)[\w.+-]*\.so", str(error))
    if missing:
        library = missing.group(1)
        package = next((p for prefix, p in _SYSTEM_PACKAGES.items() if library.startswith(prefix)), library)
        return f"FFCV needs the system library {library}, which is missing: apt-get install {package}"
    return (
        f"FFCV cannot be imported ({error}): pip install ffcv (it compiles against OpenCV and libturbojpeg)"
    )


def check(beton: Path, examples: int | None = None) -> None:
    """Compare an FFCV file with its manifest (`<split>.h5` beside it).

    Args:
        examples: how many images it must hold; None where that is not known.

    Raises:
        ArtefactError: missing, of another size than when it was written, of another data set or split, or
            with another number of images.
    """
    with artefacts.open(beton.with_suffix(".h5"), MANIFEST) as manifest:
        expected, held = int(manifest.attrs["bytes"]), int(manifest.attrs["examples"])
    if not beton.is_file():
        raise ArtefactError(f"{beton}: no such file; run snakemake to make it")
    size = beton.stat().st_size
    if size != expected:
        raise ArtefactError(
            f"{beton}: truncated or damaged ({size} bytes, {expected} when written); delete it and run "
            "snakemake again to remake it"
        )
    if examples is not None and held != examples:
        raise ArtefactError(
            f"{beton}: holds {held} images where the index names {examples}; delete it and run snakemake "
            "again to remake it"
        )


def batch_within_memory(beton: Path, batch_size: int) -> int:
    """The batch size, or the smaller one for which FFCV's buffers hold at most about 2 GB.

    FFCV reserves, for each of its five batches in flight, room for every image at the size of the largest.
    """
    images = _sizes(beton)
    largest = int(images["height"].max()) * int(images["width"].max()) * 3
    return max(1, min(batch_size, _BUFFER_BYTES // (5 * largest)))


def largest_crop(beton: Path, crop_ratio: float) -> int:
    """Side of the largest centre crop of the images, in pixels."""
    images = _sizes(beton)
    return max(1, int(crop_ratio * int(np.minimum(images["height"], images["width"]).max())))


def _sizes(beton: Path) -> np.ndarray:
    """`height` and `width` of every image, in pixels."""
    with imported():
        from ffcv.reader import Reader

        return Reader(str(beton)).metadata["f0"]


def decode_all(beton: Path, resolution: int, crop_ratio: float, workers: int) -> torch.Tensor:
    """All images, centre-cropped to `crop_ratio` of their shorter side: uint8[images, side, side, 3]."""
    with _compiling(_images(beton) >= _IMAGES_WORTH_COMPILING):
        batch_size = batch_within_memory(beton, 512)
        loader = center_crop_loader(beton, resolution, crop_ratio, batch_size, workers)
        images = torch.empty((_images(beton), resolution, resolution, 3), dtype=torch.uint8)
        start = 0
        for (batch,) in loader:
            images[start : start + len(batch)] = batch
            start += len(batch)
    return images


def center_crop_loader(beton: Path, resolution: int, crop_ratio: float, batch_size: int, workers: int):
    """An FFCV loader over all images in file order; yields (uint8[batch, resolution, resolution, 3],)."""
    decoder = _center_crop(beton, resolution, crop_ratio)
    with imported():
        return _loader_class()(beton, decoder, batch_size, workers, fields=("image",), shuffle=False)


def random_crop_loader(
    beton: Path, resolution: int, scale: tuple[float, float], batch_size: int, workers: int
):
    """An FFCV loader of random resized crops in random order; call `restart` before each pass.

    Yields (uint8[batch, resolution, resolution, 3], int32 labels[batch, 1]).
    """
    with imported():
        decoder = _seeded_crop_class()((resolution, resolution), scale)
        return _loader_class()(beton, decoder, batch_size, workers, fields=("image", "label"), shuffle=True)


def ordered_crop_loader(
    beton: Path, resolution: int, scale: tuple[float, float], batch_size: int, workers: int
):
    """An FFCV loader of random resized crops in the order given to `restart`, to be called before each pass.

    The crop of an image depends on the seed and the image alone, whatever others are decoded.

    Yields (uint8[batch, resolution, resolution, 3],); the last batch may be smaller.
    """
    with imported():
        decoder = _seeded_crop_class()((resolution, resolution), scale, by_image=True)
        return _loader_class()(beton, decoder, batch_size, workers, fields=("image",), shuffle=False)


def shuffled_center_crop_loader(
    beton: Path, resolution: int, crop_ratio: float, batch_size: int, workers: int
):
    """As `random_crop_loader`, with the evaluation crop."""
    decoder = _center_crop(beton, resolution, crop_ratio)
    with imported():
        return _loader_class()(beton, decoder, batch_size, workers, fields=("image", "label"), shuffle=True)


def _center_crop(beton: Path, resolution: int, crop_ratio: float) -> Any:
    """FFCV's decoder of centre crops; a crop without a pixel would end the process in its C++ code.

    Raises:
        DataError: an image that is too small for such a crop.
    """
    sides = _sizes(beton)
    shorter = np.minimum(sides["height"], sides["width"])
    smallest = int(shorter.argmin())
    if int(crop_ratio * int(shorter[smallest])) < 1:
        raise DataError(
            f"{beton}: a crop_ratio of {crop_ratio:g} leaves no pixel of image {smallest}, whose shorter "
            f"side has {shorter[smallest]}; raise the crop_ratio, or remove the image"
        )
    with imported():
        from ffcv.fields.rgb_image import CenterCropRGBImageDecoder

        return CenterCropRGBImageDecoder((resolution, resolution), crop_ratio)


def _images(beton: Path) -> int:
    with imported():
        from ffcv.reader import Reader

        return int(Reader(str(beton)).num_samples)


@contextmanager
def _compiling(enabled: bool) -> Iterator[None]:
    with imported():
        from ffcv.pipeline.compiler import Compiler

        Compiler.set_enabled(enabled)
        try:
            yield
        finally:
            Compiler.set_enabled(True)


def _epoch_class() -> type:
    """FFCV's EpochIterator, seeded. Made on demand, as its base is only importable with FFCV."""
    import numba
    from ffcv.loader.epoch_iterator import EpochIterator

    @numba.njit
    def seed_this_thread(seed: np.uint32) -> None:
        np.random.seed(seed)  # noqa: NPY002 (Numba knows only the legacy generator)

    class SeededEpoch(EpochIterator):
        """Seeds Numba's generator of the decoding thread before every batch."""

        def run_pipeline(self, b_ix: int, batch_indices: np.ndarray, batch_slot: int, cuda_event: Any) -> Any:
            """Seed the thread, and decode a batch."""
            seed_this_thread(np.uint32(self.loader.seed_of(b_ix) % 2**32))
            return super().run_pipeline(b_ix, batch_indices, batch_slot, cuda_event)

    return SeededEpoch


def _loader_class() -> type:
    """FFCV's Loader with seeded epochs, made on demand as well."""
    from ffcv.fields.basics import IntDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import ToTensor
    from ffcv.traversal_order import Random, Sequential

    epoch_class = _epoch_class()

    class SeededLoader(Loader):
        """A loader whose batches depend on its seed and epoch alone, and crops on its view, too."""

        view = 0

        def __init__(
            self,
            beton: Path,
            decoder: Any,
            batch_size: int,
            workers: int,
            fields: Sequence[str],
            shuffle: bool,
        ):
            self.decoder, self.shuffle = decoder, shuffle
            pipelines = {"image": [decoder, ToTensor()], "label": [IntDecoder(), ToTensor()]}
            super().__init__(
                str(beton),
                batch_size=batch_size,
                num_workers=workers,
                order=OrderOption.RANDOM if shuffle else OrderOption.SEQUENTIAL,
                seed=0,
                drop_last=shuffle,
                pipelines={f: pipelines[f] if f in fields else None for f in pipelines},
            )

        def restart(self, indices: np.ndarray, seed: int, batch_size: int, view: int = 0) -> None:
            """Point the compiled loader at other images, with a new seed; in this order, if not shuffled."""
            self.view = view
            self.indices, self.seed, self.batch_size = np.asarray(indices), seed % 2**31, batch_size
            self.traversal_order = Random(self) if self.shuffle else Sequential(self)
            self.next_epoch = 0
            self.first_traversal_order = self.next_traversal_order()

        def seed_of(self, batch: int) -> int:
            """What seeds the thread that decodes a batch; the same for all, if they are not shuffled."""
            if not self.shuffle:
                return seed_for(self.seed, "crops")
            # next_epoch was already advanced for the following epoch.
            return seed_for(self.seed, self.next_epoch, batch, *([self.view] if self.view else []))

        def set_resolution(self, resolution: int) -> None:
            """Decode at another size from the next epoch on (compiles again when it changes)."""
            if self.decoder.output_size != (resolution, resolution):
                self.decoder.output_size = (resolution, resolution)
                self.generate_code()

        def __iter__(self) -> Any:
            threads = torch.get_num_threads()
            order = self.next_traversal_order()[: len(self) * self.batch_size]
            self.next_epoch += 1
            epoch = epoch_class(self, order)
            torch.set_num_threads(threads)  # FFCV sets its own number of workers for torch, too
            return epoch

    return SeededLoader


def _seeded_crop_class() -> type:
    """FFCV's random resized crop, drawn by one thread a batch, so that threads cannot change the outcome."""
    from ffcv.fields.rgb_image import ResizedCropRGBImageDecoder, get_random_crop

    class SeededRandomResizedCrop(ResizedCropRGBImageDecoder):
        """Crops as FFCV's RandomResizedCropRGBImageDecoder draws them, reproducibly."""

        def __init__(
            self,
            output_size: tuple[int, int],
            scale: Sequence[float],
            ratio: Sequence[float] = (3 / 4, 4 / 3),
            by_image: bool = False,
        ):
            super().__init__(output_size)
            self.scale, self.ratio, self.by_image = np.array(scale), np.array(ratio), by_image

        @property
        def get_crop_generator(self) -> Callable:
            """What draws a crop."""
            return get_random_crop

        def generate_code(self) -> Callable:
            """The function that decodes a batch, for Numba to compile."""
            drawn = self.get_crop_generator, self.scale, self.ratio, self.by_image
            return _batch_decoder(self.memory_read, *drawn)

    return SeededRandomResizedCrop


def _batch_decoder(
    read: Callable, draw: Callable, scale: np.ndarray, ratio: np.ndarray, by_image: bool
) -> Callable:
    """A function for Numba that decodes the crops of a batch.

    Args:
        read: FFCV's access to the stored bytes of an image.
        draw: what draws a crop, of the image's height and width and the ranges of:
        scale: its share of the area, (2,).
        ratio: its width over its height, (2,).
        by_image: whether each image has a seed of its own, made of the batch's and its number in the file.
    """
    from ffcv.fields.rgb_image import IMAGE_MODES
    from ffcv.libffcv import imdecode, resize_crop
    from ffcv.pipeline.compiler import Compiler

    jpg, images = IMAGE_MODES["jpg"], Compiler.get_iterator()
    decode_jpeg, resize = Compiler.compile(imdecode), Compiler.compile(resize_crop)
    draw_crop = Compiler.compile(draw)

    def decode(
        batch_indices: np.ndarray,
        buffers: tuple[np.ndarray, np.ndarray],
        metadata: np.ndarray,
        storage_state: Any,
    ) -> np.ndarray:
        batch, scratch = buffers
        # Drawn by the calling thread, whose generator SeededEpoch has just seeded; then shared out.
        crops = np.empty((len(batch_indices), 4), np.int64)
        begun = np.random.randint(0, 2**32) if by_image else 0  # noqa: NPY002
        for i in range(len(batch_indices)):
            if by_image:
                # Multiplied by an odd number, so that no two images of a pass share a seed, nor do neighbours
                # in the file have neighbouring ones (the multiplier is Knuth's, 2**32 over the golden ratio).
                own = np.uint64(batch_indices[i]) * np.uint64(2654435761)
                np.random.seed(np.uint32((own ^ np.uint64(begun)) & np.uint64(0xFFFFFFFF)))  # noqa: NPY002
            field = metadata[batch_indices[i]]
            top, left, h, w = draw_crop(np.uint32(field["height"]), np.uint32(field["width"]), scale, ratio)
            # One by one: whole rows would each be a parallel loop to Numba.
            crops[i, 0], crops[i, 1], crops[i, 2], crops[i, 3] = top, left, h, w
        for i in images(len(batch_indices)):
            field = metadata[batch_indices[i]]
            stored = read(field["data_ptr"], storage_state)
            height, width = np.uint32(field["height"]), np.uint32(field["width"])
            if field["mode"] == jpg:
                pixels = scratch[i].reshape(-1)[: 3 * height * width]
                pixels = pixels.reshape(height, width, 3)
                decode_jpeg(stored, pixels, height, width, height, width, 0, 0, 1, 1, False, False)
            else:
                pixels = stored.reshape(height, width, 3)
            top, left = crops[i, 0], crops[i, 1]
            resize(pixels, top, top + crops[i, 2], left, left + crops[i, 3], batch[i])
        return batch[: len(batch_indices)]

    decode.is_parallel = True
    return decode
