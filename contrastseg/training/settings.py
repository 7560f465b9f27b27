"""What a suite may say about training. Torch-free: planning reads it, and so does `contrastseg plan`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from contrastseg.errors import SuiteError, TrainingError
from contrastseg.networks import registry as networks


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SegmentationSettings(_Strict):
    """The loss on labelled images, the same for every method; also of pre-training that reads labels."""

    loss: Literal["ce", "dice", "ce_dice"] = "ce_dice"
    combine: Literal["mean", "sum"] = Field("mean", description="of cross-entropy and Dice")
    background: bool = Field(False, description="whether the Dice has the background among its classes")
    squared: bool = Field(False, description="whether the Dice divides by squared probabilities")
    per_image: bool = Field(False, description="whether the Dice is of every image, not of the batch")
    dice_share: float | None = Field(
        None, ge=0, le=1, description="weight of the Dice in `combine: mean`, cross-entropy has the rest; half if unset"
    )

    @model_validator(mode="after")
    def _a_share_of_a_mean(self) -> Self:
        if self.dice_share is not None and (self.loss, self.combine) != ("ce_dice", "mean"):
            raise ValueError("dice_share weighs the Dice in `loss: ce_dice` and `combine: mean`: leave one out")
        return self

    @model_serializer(mode="wrap")
    def _as_stored(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Runs without the share keep the configuration that they were stored with."""
        return {key: value for key, value in serialise(self).items() if key != "dice_share" or value is not None}


class OptimiserSettings(_Strict):
    """The optimiser and its learning rate over time (a pure function of the step)."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(
        1e-4, ge=0, description="AdamW takes it off the weights; Adam and SGD add it to the gradient (L2)"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD only")
    nesterov: bool = Field(True, description="SGD with momentum only")
    schedule: Literal["poly", "cosine", "step", "constant"] = "poly"
    warmup_steps: int = Field(0, ge=0, description="linear rise; the schedule begins after it")
    warmup_epochs: int = Field(0, ge=0, description="the same in epochs, where the length is in epochs")
    final_learning_rate: float = Field(0.0, ge=0, description="where poly and cosine end")
    step_every: int | None = Field(None, ge=1, description="steps between two falls of `schedule: step`")
    step_factor: float = Field(0.1, gt=0, le=1, description="what the rate is multiplied by at each fall")
    clip_norm: float | None = Field(12.0, gt=0, description="gradient norm above which gradients are scaled down")

    @model_validator(mode="after")
    def _steps_have_a_length(self) -> Self:
        if self.schedule == "step" and self.step_every is None:
            raise ValueError("schedule: step falls every `step_every` steps: give their number")
        return self


# fmt: off
Part = Literal[
    "rotation", "rot90", "flip", "scale", "shear", "shift", "elastic",
    "brightness", "contrast", "gamma", "noise", "hue", "saturation",
]
# fmt: on
"""What a group of `one_of` may name."""


class AugmentationSettings(_Strict):
    """Ranges the batched augmentation draws from; 0 or an empty list switches a part off.

    Rotation is about the slice axis in 3D, so that anisotropic volumes keep their slices; so are shear, quarter turns
    and scales.
    """

    flip_axes: list[Annotated[int, Field(ge=0, le=1)]] = Field(
        [0, 1], description="in-plane axes that may be mirrored: 0 = rows, 1 = columns"
    )
    flip_rule: Literal["each", "one"] = Field(
        "each", description="each of the axes half of the time, or one of them always"
    )
    rotation_degrees: float = Field(15.0, ge=0, le=180)
    rot90: bool = Field(False, description="whether 0 to 3 quarter turns come first")
    scale: tuple[float, float] = (0.85, 1.2)
    scale_per_axis: bool = Field(False, description="whether rows and columns have a scale each")
    shear: float = Field(0.0, ge=0, le=45, description="largest angle of shear, in degrees, drawn for each axis")
    shift: float = Field(
        0.1, ge=0, le=0.5, description="share of the patch by which it may move beyond a case it covers"
    )
    border: Literal["edge", "zero"] = Field(
        "edge", description="beyond a case: its border is repeated, or image and label are 0"
    )
    order: Literal[0, 1] = Field(1, description="of the images' interpolation: 0 = nearest neighbour, 1 = linear")
    elastic: float = Field(0.0, ge=0, description="largest displacement of the smooth warp, in pixels")
    brightness: float = Field(0.1, ge=0, description="standard deviation of the added constant, in image units")
    contrast: tuple[float, float] = (0.8, 1.25)
    gamma: tuple[float, float] = (0.8, 1.25)
    noise: float = Field(0.05, ge=0, description="largest standard deviation of added Gaussian noise")
    hue: float = Field(0.0, ge=0, le=1, description="largest turn of the hue, as a share of half a turn; RGB alone")
    saturation: float = Field(0.0, ge=0, le=1, description="largest number added to the saturation; RGB alone")
    one_of: list[list[Part]] | None = Field(
        None, min_length=2, description="groups of parts: a sample has those of one group and all that no group names"
    )
    one_of_shares: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, description="how often each group is drawn, as weights; alike if unset"
    )

    @model_validator(mode="after")
    def _a_share_a_group(self) -> Self:
        shares, groups = self.one_of_shares, len(self.one_of or ())
        if shares is not None and len(shares) != groups:
            raise ValueError(f"{len(shares)} shares for {groups} groups of one_of: give each group a share")
        return self


class InferenceSettings(_Strict):
    """How windows of a large image become one prediction."""

    stride: list[int] | None = Field(
        None, min_length=2, max_length=3, description="pixels from window to window, an axis each; `overlap` if unset"
    )
    weights: Literal["gaussian", "uniform"] = Field("gaussian", description="how much a window's border counts")
    average: Literal["logits", "softmax"] = Field("logits", description="averaged where windows overlap")

    @field_validator("stride")
    @classmethod
    def _forward(cls, stride: list[int] | None) -> list[int] | None:
        if stride is not None and min(stride) < 1:
            raise ValueError(f"a stride is 1 pixel at least, not {min(stride)}")
        return stride


def _steps(given: dict[str, Any]) -> int | None:
    return 1000 if given.get("epochs") is None else None


class TrainingSettings(_Strict):
    """One budget for every method of a comparison: network, steps, batch, optimiser, augmentation, precision."""

    network: dict[str, Any] = Field(default_factory=lambda: {"name": "unet"})
    epochs: int | None = Field(
        None, ge=1, description="length in place of `steps`: passes over the label budget, incomplete batches dropped"
    )
    steps: int | None = Field(default_factory=_steps, ge=1, json_schema_extra={"default": 1000})
    batch_size: int = Field(8, ge=1, description="labelled samples per step")
    unlabelled_batch_size: int | None = Field(
        None, ge=1, description="unlabelled samples; as many as labelled if unset"
    )
    patch_size: list[int] = Field([96, 96], min_length=2, max_length=3)
    foreground_fraction: float = Field(0.33, ge=0, le=1, description="share of labelled crops centred on a structure")
    segmentation: SegmentationSettings = SegmentationSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    memory_format: Literal["contiguous", "channels_last"] = Field(
        "contiguous", description="layout of weights and maps; which is faster: benchmarks/speed/results/options-*.csv"
    )
    compile: Literal["off", "default", "reduce-overhead"] = Field(
        "off", description="torch.compile of the networks; seconds at the start, and a C++ compiler on a CPU"
    )
    record: Literal["auto", "off"] = Field(
        "auto", description="on a GPU, one CUDA graph for forward, backward and optimiser where the method allows it"
    )
    residency: Literal["auto", "device", "host", "mapped"] = "auto"
    cache_gb: float | None = Field(
        None, gt=0, description="host memory that data may take under `auto`, else it is mapped; half of what is free"
    )
    devices: int = Field(
        1, ge=1, description="GPUs (processes on a CPU) that share every batch; norms and batch-wise losses see a share"
    )
    threads: int = Field(1, ge=1, description="CPU threads of one run")
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_every: int = Field(200, ge=1)
    validate_every: int = Field(0, ge=0, description="0: no validation, and no best_val checkpoint")
    snapshot_every: int | None = Field(
        None, ge=1, description="steps (epochs, where the length is in epochs) between snapshots, 50 at most"
    )
    log_every: int = Field(10, ge=1)
    overlap: float = Field(0.5, ge=0, lt=1, description="overlap of neighbouring inference windows")
    inference: InferenceSettings = InferenceSettings()

    @field_validator("network")
    @classmethod
    def _known_network(cls, settings: dict[str, Any]) -> dict[str, Any]:
        try:
            networks.check(settings)
        except SuiteError as error:
            raise ValueError(error.reason) from error
        return settings

    @property
    def length(self) -> int:
        """Steps of a stage whose length is known.

        Raises:
            TrainingError: It is given in epochs, and how many steps these are was not asked (`training.length`).
        """
        if self.steps is None:
            raise TrainingError(
                f"how many steps {self.epochs} epochs are hangs on the data", remedy="ask training.length.in_steps"
            )
        return self.steps

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"a length of {self.steps} steps and {self.epochs} epochs: give one of the two")
        if self.optimiser.warmup_epochs and (self.epochs is None or self.optimiser.warmup_steps):
            raise ValueError("optimiser.warmup_epochs goes with a length in `epochs`, and not with warmup_steps")
        return self

    @model_validator(mode="after")
    def _windows_without_gaps(self) -> Self:
        stride, patch = self.inference.stride, self.patch_size
        if stride is not None and (len(stride) != len(patch) or any(s > n for s, n in zip(stride, patch, strict=True))):
            raise ValueError(
                f"inference.stride {stride} leaves pixels without a window of patch_size {patch}: "
                "give one stride an axis, each at most the patch's size"
            )
        return self


PATH_KEYS = ("data", "split", "pool", "pool_data", "raw", "initial")
"""What of a run's configuration says only where things lie."""


_STORED_ENTRY = "dataset"


class RunConfig(_Strict):
    """Everything one run is a function of, resolved: the axes, the settings, and where its data lies.

    The `PATH_KEYS` are folders and files of this machine; they are left out of the digest that decides whether a
    checkpoint belongs to this run, the content hashes in `inputs` stand for them.
    """

    suite: str = "by-hand"
    entry: str = Field(validation_alias=AliasChoices("entry", _STORED_ENTRY), description="name of the suite's entry")
    spatial_dims: Literal[2, 3]
    method: str
    variant: str = "default"
    settings: dict[str, Any] = Field(default_factory=dict, description="the method's settings, resolved")
    labels: str = Field("r1", description="r<ratio> or n<patients>")
    draw: int = Field(0, ge=0)
    fold: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)
    stage: str = "train"
    training: TrainingSettings = TrainingSettings()
    stage_training: dict[str, Any] = Field(
        default_factory=dict, description="the suite's own settings of this stage, stronger than the method's"
    )
    data: str = Field(description="folder of the prepared data set")
    split: str = Field(description="split file")
    pool: str = Field("", description="pool file of a stage without labels; its training patients alone if unset")
    pool_data: dict[str, str] = Field(default_factory=dict, description="prepared folder of every entry of the pool")
    raw: str | None = Field(
        None, description="folder of the published files, for engines that train on native images; none if generated"
    )
    initial: dict[str, str] = Field(default_factory=dict, description="checkpoint of every earlier stage, by its name")
    inputs: dict[str, str] = Field(default_factory=dict, description="content hashes of what lies in the places above")
    fingerprint: str = Field("", description="fingerprint of the code that trains")

    @model_serializer(mode="wrap")
    def _as_stored(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Runs keep the key that they were stored with, and the digests made of them."""
        return {_STORED_ENTRY if key == "entry" else key: value for key, value in serialise(self).items()}

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two runs the same run."""
        return self.model_dump(mode="json", exclude=set(PATH_KEYS))
