"""PASCAL VOC 2012, semantic segmentation: natural photographs, on request with SBD's additional labels."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Literal

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import PHOTO_SUFFIXES, read_label
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.data.readers.layouts import by_case, pairs, read_photo_rgb, require_cases, require_folder
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, Part, RawCase
from contrastseg.data.settings import PreparationSettings, SplitSettings
from contrastseg.errors import DataError


class VocOptions(DatasetOptions):
    """Options of VOC 2012.

    Attributes:
        train_set: ``train`` is the challenge's; ``trainaug`` takes SBD's additional labels (``SegmentationClassAug``
            and ``trainaug.txt``, put into the challenge's folders).
    """

    train_set: Literal["train", "trainaug"] = "train"


def discover(raw: Path | None, options: VocOptions, faults: Faults) -> list[RawCase]:
    """List the images that the challenge's lists name; a folder without lists gives all pairs, in no part."""
    raw = require_folder(raw, "voc2012")
    folders = [folder.parent for folder in sorted(raw.rglob("JPEGImages"))]
    folders = [folder for folder in folders if folder.name == "VOC2012"] or folders
    if len(folders) > 1:
        raise DataError(f"VOC 2012 is there twice, also as {folders[1]}", file=folders[0], remedy="keep one")
    cases = _cases(folders[0], options, faults) if folders else []
    require_cases(cases, faults, raw, "VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg")
    return cases


def _cases(base: Path, options: VocOptions, faults: Faults) -> list[RawCase]:
    lists, augmented = base / "ImageSets" / "Segmentation", options.train_set == "trainaug"
    if augmented and not ((lists / "trainaug.txt").is_file() and (base / "SegmentationClassAug").is_dir()):
        raise DataError(
            "the labels of SBD (train_set: trainaug) are not here",
            file=base,
            remedy="put SegmentationClassAug and ImageSets/Segmentation/trainaug.txt there, or ask for train",
        )
    masks = _photos(base / "SegmentationClass", None, faults)
    if not lists.is_dir():
        files_of = pairs(_photos(base / "JPEGImages", None, faults), masks, faults)
        return [RawCase(case, case, None, files) for case, files in files_of.items()]
    parts: dict[Part, list[str]] = {
        "train": _read_list(lists / f"{options.train_set}.txt"),
        "test": _read_list(lists / "val.txt"),
    }
    listed = {case: part for part, names in parts.items() for case in names}
    for case in sorted(set(parts["train"]) & set(parts["test"])):
        faults.add("the case is there twice, in both lists", case=case, file=lists, remedy="keep it in val.txt only")
    for case in sorted(masks.keys() - listed.keys()):
        faults.add("no list names the mask", case=case, file=masks[case], remedy="restore the published lists")
    images = _photos(base / "JPEGImages", listed, faults)
    if augmented:
        more = _photos(base / "SegmentationClassAug", set(parts["train"]), faults)
        masks = {case: path for case, path in masks.items() if listed.get(case) == "test"} | more
    for case in sorted(listed.keys() - images.keys() - masks.keys()):
        faults.add("image and mask are missing", case=case, file=lists, remedy="restore the published files")
    named = {case: path for case, path in masks.items() if case in listed}
    return [RawCase(case, case, None, files, part=listed[case]) for case, files in pairs(images, named, faults).items()]


def _photos(folder: Path, wanted: Container[str] | None, faults: Faults) -> dict[str, Path]:
    """A folder's photographs by case: all of them, or those that are wanted."""
    paths = (path for path in folder.glob("[!.]*") if path.suffix.lower() in PHOTO_SUFFIXES)
    return by_case(paths, lambda path: path.stem if wanted is None or path.stem in wanted else None, faults)


def _read_list(path: Path) -> list[str]:
    """The cases of a list; lists of SBD's labels may name the files of image and mask instead."""
    with wrap_read_errors(path):
        return [Path(line.split()[0]).stem for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def load(raw: RawCase, options: VocOptions) -> NativeCase:
    """Read one photograph and its palette PNG, whose indices are the classes; 255 marks borders to ignore."""
    image, mask = raw.files
    notes = () if raw.part else ("without ImageSets/Segmentation: the case is in no part",)
    return NativeCase(read_photo_rgb(image, raw.case), read_label(mask, raw.case)[0], None, "pixel", None, notes)


SPEC = DatasetSpec(
    name="voc2012",
    title="PASCAL VOC 2012",
    modality="photographs of everyday scenes",
    spatial_dims=2,
    classes=(
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "dining table",
        "dog",
        "horse",
        "motorbike",
        "person",
        "potted plant",
        "sheep",
        "sofa",
        "train",
        "tv monitor",
    ),
    channels=("red", "green", "blue"),
    native_format="png",
    licence="images under Flickr's terms of use",
    citation="Everingham et al., The Pascal Visual Object Classes Challenge: A Retrospective, IJCV 111, 2015, "
    "doi 10.1007/s11263-014-0733-5; trainaug: Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011, "
    "doi 10.1109/ICCV.2011.6126343",
    discover=discover,
    load=load,
    ignore=True,
    options=VocOptions,
    preparation=PreparationSettings(intensity="uint8"),
    folder_names=("VOC2012", "VOCdevkit", "voc2012", "VOC_labelme_sample"),
    split=SplitSettings(name="official"),
    splits=("official",),
    traps=(
        "The labels of the challenge's test images are hidden: the literature's test part, and ours, is `val` (1,449 "
        "images). A validation part beside it is missing.",
        "Masks are palette PNGs: their indices are the labels, the colours only show them.",
        "255 marks borders that neither train nor score; the additional labels of `trainaug` have no such borders.",
        "`trainaug` (10,582 images) must not hold images of `val`; circulating lists differ; overlaps are refused.",
        "The literature's mean IoU pools the pixels of all images; a mean over images is another number.",
    ),
)
