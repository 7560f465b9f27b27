"""What a suite may say about the preparation and the split of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)


class SuperpixelSettings(BaseModel):
    """Felzenszwalb's super-pixels, on images scaled to 0..255.

    Attributes:
        scale: Larger values give larger regions.
        sigma: Of the Gaussian that smooths the image first, in pixels.
        min_size: Smaller regions join a neighbour, in pixels.
        body: Regions whose mean brightness, as a share of the image's range, is at most this are no regions: the air
            around a body. None keeps all of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(100.0, gt=0)
    sigma: float = Field(0.8, ge=0)
    min_size: int = Field(50, ge=1)
    body: float | None = Field(None, ge=0, lt=1)


class CropSettings(BaseModel):
    """The box around the structures that is prepared; everything outside counts as background in predictions.

    The box is found from a case's own label, test cases included: results of such a preparation are no prediction of
    whole images. It is for comparison with papers that did the same, and says so wherever its results stand.

    Attributes:
        around: ``label``: all voxels of a structure.
        margin: Added on either side, in mm where the spacing is known, else in voxels.
        least: Shorter boxes are made this long first, likewise.
        axes: The native axes that are cropped, in array order; the others stay whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    around: Literal["label"]
    margin: float = Field(25.0, ge=0)
    least: float = Field(0.0, ge=0)
    axes: tuple[Literal[0, 1, 2], ...] = Field((0, 1, 2), min_length=1)


class PreparationSettings(BaseModel):
    """How native arrays become what networks see. Lengths in mm, in array order ((z, y, x) for volumes).

    Attributes:
        intensity: ``zscore`` per case and channel, by mean and deviation of the whole image (of CT too, where nnU-Net
            takes the foreground of the training cases); ``minmax`` to [0, 1]; ``percentile`` clips to `percentiles`,
            then [0, 1]; ``window`` clips to `window`, then [0, 1]; ``none`` keeps the values; ``uint8`` keeps 8-bit
            values as such (`DatasetJson.scale` brings them to [0, 1]).
        window: [low, high]; with another rule than ``window`` the values are clipped before it.
        percentiles: [low, high] in percent.
        spacing: Resample to this spacing; None in it keeps an axis as it is.
        size: Resample to this size: both axes of photographs, of volumes those of a slice.
        dtype: How images are stored (``uint8`` and ``none`` decide themselves).
        superpixels: Store a super-pixel map beside each image; none where it is left out.
        slice_axis: Which axis of native volumes, in array order, slices are cut along; prepared arrays have it first.
            ``largest_spacing`` (the rule of one's own data) takes the one that most cases have their largest spacing
            along. Left out, it is the first.
        image_order: Of the spline that resamples images: 1 is linear, 0 takes the nearest voxel, 3 is cubic.
        prediction_order: How predictions come back to the native grid: 1 resamples logits linearly and takes the
            largest, 0 takes the nearest voxel's class.
        crop: Prepare a box around the label alone.
        n4: Correct the bias field of MR volumes with N4 first (four levels of 50 iterations, threshold 0.001).
        n4_shrink: N4 looks at every n-th voxel of an axis that keeps 8 of them; 4 is customary and far faster than 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    intensity: Literal["zscore", "minmax", "percentile", "window", "none", "uint8"] = "zscore"
    window: tuple[float, float] | None = None
    percentiles: tuple[float, float] = (0.5, 99.5)
    spacing: tuple[float | None, ...] | None = None
    size: tuple[int, int] | None = None
    dtype: Literal["float16", "float32"] = "float16"
    superpixels: SuperpixelSettings | None = None
    slice_axis: Literal[0, 1, 2, "largest_spacing"] | None = None
    image_order: Literal[0, 1, 3] = 1
    prediction_order: Literal[0, 1] = 1
    crop: CropSettings | None = None
    n4: bool = False
    n4_shrink: int = Field(1, ge=1)

    @field_validator("slice_axis", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        if isinstance(value, bool):  # which equals a number
            raise ValueError(f"slice_axis is 0, 1, 2 or largest_spacing, not {value}")
        return value

    @model_serializer(mode="wrap")
    def _as_before_there_was_a_choice(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what was not chosen of the later fields: rules keep their digests."""
        fields: dict[str, Any] = serialise(self)
        for name, usual in _LATER.items():
            if name in fields and fields[name] == usual:
                del fields[name]
        return fields

    def complete(self) -> dict[str, Any]:
        """Every field by its name, those as well that rules did not have at first."""
        return {**_LATER, **self.model_dump()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.intensity == "window" and self.window is None:
            raise ValueError("intensity 'window' needs window: [low, high]")
        for name, pair in (("window", self.window), ("percentiles", self.percentiles)):
            if pair is not None and pair[0] >= pair[1]:
                raise ValueError(f"{name}: low must be below high, not {list(pair)}")
        if self.size is not None and min(self.size) < 1:
            raise ValueError("size must be positive")
        if self.spacing is not None and any(step is not None and step <= 0 for step in self.spacing):
            raise ValueError("spacing must be positive")
        return self


_LATER = {"slice_axis": None, "image_order": 1, "prediction_order": 1, "crop": None, "n4": False, "n4_shrink": 1}
"""Fields that rules did not have at first, with the value that leaves everything as it was."""


def given_for_volumes(rule: Mapping[str, Any]) -> list[str]:
    """The fields of a rule that photographs cannot have."""
    return [key for key in ("slice_axis", "crop", "n4") if rule.get(key) is not None and rule[key] is not False]


class Fractions(BaseModel):
    """Shares of the patients; they add up to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: float = Field(0.7, ge=0, le=1)
    val: float = Field(0.1, ge=0, le=1)
    test: float = Field(0.2, ge=0, le=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError("train, val and test must add up to 1")
        return self


NNUNET_FOLDS = 5


class SplitSettings(BaseModel):
    """Which patients train, validate and test, and in which orders training patients get their labels.

    Attributes:
        name: ``random``, which keeps the strata that a data set names in proportion; ``official``, the parts the
            publisher put the patients into; ``nnunet``, the five folds that nnU-Net draws; or the name of a published
            split (a file in benchmarks/splits).
        fractions: Shares of a random split. With several folds the test share is 1 / folds instead.
        val: Share of an official split's training patients that validate instead, where the publisher names nobody.
        seed: Of the random split and of the random draws.
        draws: How many orders of the training patients there are; draw 0 is the literature's where it has one.
        folds: How many folds a random split has; an official one has one, nnU-Net's five, a published one its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "random"
    fractions: Fractions = Fractions()
    val: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0)
    draws: int = Field(5, ge=1)
    folds: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.val > 0 and self.name != "official":
            raise ValueError(
                "val is a share of an official split's training patients; a random split has fractions.val"
            )
        if self.folds > 1 and self.name != "random":
            raise ValueError(f"folds are drawn for random splits; {self.name!r} has its own")
        return self

    @property
    def number_of_folds(self) -> int | None:
        """How many folds there are; None where a published file says it."""
        return {"random": self.folds, "official": 1, "nnunet": NNUNET_FOLDS}.get(self.name)

    def under(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """These settings with others on top, key by key; a split of another name starts from the defaults.

        Args:
            given: What a suite says.

        Returns:
            Keys and values for `SplitSettings`, not yet validated.
        """
        same = given.get("name", self.name) == self.name
        return {**(self.model_dump() if same else {}), **given}
