"""What a method is: metadata that anybody can read without torch, and a small class that trains with it.

A method's file imports torch and its losses inside `build` and the steps, never at the top: planning, scoring and the
report read `card`, `stages` and `applies_to` of every method, and must not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from contrastseg.errors import SuiteError, unknown_name
from contrastseg.methods._kinds import check_choice, check_kind
from contrastseg.methods.tunable import Range, check_ranges

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contrastseg.networks.catalogue import Form

Provenance = Literal["official", "published", "reconstructed"]
SourceName = Literal["labelled", "unlabelled"]


@dataclass(frozen=True)
class Card:
    """Where a method comes from, and how sure that is.

    Attributes:
        title: The method's full name.
        paper: Citation in one line.
        year: Year of the paper.
        doi: DOI or arXiv number; empty when there is none.
        provenance: *official* follows released code, *published* the text, *reconstructed* where neither says enough.
        summary: What it does, in a sentence or two.
        differs: What this implementation does otherwise than its source, and why.
        options: Every setting that is our choice rather than the source's, with the reason for its default.
        tunable: Ranges of the settings that a tuned suite searches, three at most (see `methods.tunable`).

    Raises:
        SuiteError: The provenance is none of these, or the ranges are more than three.
    """

    title: str
    paper: str
    year: int
    doi: str
    provenance: Provenance
    summary: str
    differs: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    tunable: Mapping[str, Range] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice(f"provenance of {self.title!r},", self.provenance, get_args(Provenance))
        check_ranges(self.title, self.tunable)

    def stated(self) -> dict[str, Any]:
        """What it says of the method's source, as runs are stored with it: all but the ranges of tuned suites."""
        return {
            **{name: value for name, value in vars(self).items() if name != "tunable"},
            "differs": list(self.differs),
            "options": dict(self.options),
        }


@dataclass(frozen=True)
class View:
    """One look at a batch that a stage asks for; `training` builds it.

    Attributes:
        source: Which samples it shows. The labels of unlabelled samples are never read.
        geometry: Views of one source with the same geometry name share their crop and warp, others have their own;
            coordinates come with each, so that correspondences between them are exact.
        intensity: Views that share their geometry share their brightness, contrast, gamma and noise too, unless they
            name intensities of their own.
        samples: Views of one source with the same name here show the same samples of the pool; another name draws
            others. It needs a geometry of its own.
        noise: Standard deviation of Gaussian noise added last, clipped at twice that; each view draws its own.
        superpixels: Whether it comes with the prepared super-pixel map, warped as the image is.

    Raises:
        SuiteError: There is no such source.
    """

    source: SourceName
    geometry: str = "a"
    intensity: str = ""
    samples: str = ""
    noise: float = 0.0
    superpixels: bool = False

    def __post_init__(self) -> None:
        check_choice("source of a view,", self.source, get_args(SourceName))


@dataclass(frozen=True)
class InitialWeights:
    """Weights that a stage starts from: `modules` of an earlier stage's checkpoint, into modules of the same name.

    Parts of modules have dotted names: every network keeps its encoder in `network.encoder`.
    """

    stage: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """A training stage: the views it looks at (by name) and the weights it starts from.

    Attributes:
        name: `train` for the last stage; anything else is a pre-training stage.
        views: View per name; the names are the keys of the batch that `training_step` receives.
        init_from: Weights of earlier stages that it starts from.
        training: Overrides of the suite's training settings for this stage, key by key; the suite's own settings of
            the stage (`stages:` of a method's entry) are stronger.
    """

    name: str
    views: Mapping[str, View]
    init_from: tuple[InitialWeights, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Literal["labelled", "unlabelled", "both"]:
        """Which data the stage uses, as its views say."""
        sources = {view.source for view in self.views.values()}
        if len(sources) == 2:
            return "both"
        return "labelled" if "labelled" in sources else "unlabelled"


@dataclass
class Sample:
    """What one view of a batch holds.

    Attributes:
        image: (B, C, *spatial), float.
        label: (B, *spatial), int64, 255 = ignore; None for unlabelled views.
        coordinates: (B, *spatial, spatial_dims), where each pixel was taken from, in pixels of its case.
        unit: (B,) index of the case or slice each sample was taken from.
        case: (B,) index of the case, shared by all slices of a volume.
        position: (B,) where a slice lies in its volume, from 0 (first) to 1 (last); 0.5 for whole cases.
        superpixels: (B, *spatial), int64, 0 = no region; None unless the view asks for it.
        patient: (B,) index of the patient among the pool's, shared by all cases of a patient; None in samples made by
            hand without it.
    """

    image: Tensor
    label: Tensor | None
    coordinates: Tensor
    unit: Tensor
    case: Tensor
    position: Tensor
    superpixels: Tensor | None = None
    patient: Tensor | None = None


Batch = Mapping[str, Sample]


@dataclass(frozen=True)
class Circumstances:
    """What a method would have to work with, as far as planning knows.

    Attributes:
        spatial_dims: 2 or 3, of what networks see.
        labelled_fraction: Share of the training patients that the label budget covers.
        volumes: Whether the images are volumes, or slices of such.
        num_classes: Classes including background.
        images_without_label: Whether there are images without a label to train on, beside the labelled patients.
    """

    spatial_dims: int
    labelled_fraction: float
    volumes: bool
    num_classes: int
    images_without_label: bool = False


@dataclass(frozen=True)
class Task:
    """What a method is built for.

    Attributes:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        steps: Length of this stage, for ramps.
        stage: The stage's name.
        build_network: Makes a freshly initialised network; every call draws anew. Networks for other inputs than the
            image or other outputs than the classes are asked for with `in_channels=` and `num_classes=`; further
            keywords are options of the network, stronger than the suite's.
        patch_size: Shape of a sample, for choosing feature maps by their extent; empty where it is not known.
        flip_axes: In-plane axes that this stage's augmentation may mirror, 0 = rows and 1 = columns: the suite knows
            where left and right are classes of their own, and views that a method draws itself keep to it.
        segmentation: The suite's loss on labelled images, as keywords of `losses.segmentation.segmentation_loss`.
    """

    spatial_dims: int
    in_channels: int
    num_classes: int
    steps: int
    stage: str
    build_network: Callable[..., Any]
    patch_size: tuple[int, ...] = ()
    flip_axes: tuple[int, ...] = (0, 1)
    segmentation: Mapping[str, Any] = field(default_factory=dict)


class Method:
    """Base of all methods. Subclasses fill the class attributes and the two or three functions they need.

    Attributes:
        name: As suites call it; the file's name.
        card: Where it comes from.
        stages: In order; the last one is `train`.
        defaults: Every setting with its default.
        choices: The values there are, of every setting that names one of a few ways (or a list of them).
        variants: Named overrides of the defaults.
        spatial_dims: Where it is defined.
        memory_mb: Memory a job of it needs.
        printed: Its name in tables, where that is not `name`.
        engine: None trains with this project's loop. Otherwise the dotted name of a module of `contrastseg.training`
            that trains and predicts in its own way (see `contrastseg.training.engines`), on native images; `build`,
            the steps and `predict` are then not used.
    """

    name: ClassVar[str]
    card: ClassVar[Card]
    stages: ClassVar[tuple[Stage, ...]]
    defaults: ClassVar[Mapping[str, Any]] = {}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}}
    spatial_dims: ClassVar[tuple[int, ...]] = (2, 3)
    memory_mb: ClassVar[int] = 4000
    printed: ClassVar[str | None] = None
    engine: ClassVar[str | None] = None

    def __init__(self, task: Task, settings: Mapping[str, Any]) -> None:
        self.task = task
        self.settings = settings
        self.modules: Any = None
        self.host_values: Callable[[Callable[[int], Any]], Any] | None = None

    @classmethod
    def resolve(
        cls,
        variant: str = "default",
        overrides: Mapping[str, Any] | None = None,
        variants: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Resolve the settings of a variant: defaults, then the variant's (the suite's first), then the overrides.

        Args:
            variant: Its name.
            overrides: Single settings, stronger than all.
            variants: The suite's own variants; of one name, the suite's counts.

        Returns:
            A value for every name in `defaults`.

        Raises:
            SuiteError: The variant, a setting or the value of one with choices is unknown (the message lists the known
                ones), or a value is of another kind than its default.
        """
        known = {**cls.variants, **(variants or {})}
        if variant not in known:
            raise SuiteError(unknown_name(f"variant of {cls.name}", variant, list(known)))
        settings = {**cls.defaults, **known[variant], **(overrides or {})}
        for name in settings:
            if name not in cls.defaults:
                raise SuiteError(unknown_name(f"setting of {cls.name}", name, list(cls.defaults)))
            check_kind(f"{name} of {cls.name}", settings[name], cls.defaults[name])
            if name in cls.choices:
                check_choice(f"{name} of {cls.name}", settings[name], cls.choices[name])
        return settings

    @classmethod
    def own_training(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Training settings that follow from the method's own settings; stronger than what the suite says."""
        return {}

    @classmethod
    def name_note(cls, settings: Mapping[str, Any]) -> str:
        """Say what tables print in brackets behind the name, such as a schedule shorter than the source's."""
        return ""

    @classmethod
    def applies_to(cls, here: Circumstances) -> str | None:
        """None when the method can run, otherwise the reason why not."""
        if here.spatial_dims not in cls.spatial_dims:
            return f"{cls.name} is not defined in {here.spatial_dims}D"
        wants_both = any(stage.name == "train" and stage.data == "both" for stage in cls.stages)
        if wants_both and here.labelled_fraction >= 1 and not here.images_without_label:
            return f"{cls.name} needs unlabelled patients, and all are labelled"
        return None

    @classmethod
    def check_network(cls, network: Form, settings: Mapping[str, Any]) -> None:
        """Refuse a network that lacks what the method needs; by default every network has it.

        Planning asks with what the catalogue knows of the suite's network, so that nobody waits for `build` to refuse.

        Args:
            network: It has no maps where the suite sets options that the catalogue does not know.
            settings: The method's, resolved.

        Raises:
            SuiteError: The method cannot train this network.
        """

    @classmethod
    def stage(cls, name: str) -> Stage:
        """Get the stage of this name.

        Raises:
            SuiteError: There is none; the message lists the known ones.
        """
        for stage in cls.stages:
            if stage.name == name:
                return stage
        raise SuiteError(unknown_name(f"stage of {cls.name}", name, [stage.name for stage in cls.stages]))

    def build(self) -> Mapping[str, nn.Module]:
        """Build every module that has state, by name: all are saved in checkpoints, what has gradients is optimised."""
        return {"network": self.task.build_network()}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Compute the named loss terms of this batch, weighted; their sum is minimised."""
        raise NotImplementedError

    def segmentation_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Compute the suite's loss on labelled images (`training.segmentation`), by default ½ (CE + soft Dice).

        Args:
            logits: (B, K, *spatial).
            label: (B, *spatial), 255 = ignore.

        Returns:
            A scalar.
        """
        from contrastseg.losses.segmentation import segmentation_loss

        return segmentation_loss(logits, label, **self.task.segmentation)

    def host_value(self, make: Callable[[int], Any], step: int) -> Any:
        """Make what a step needs of the host and changes with it: a weight that rises, positions drawn at random.

        A recorded step runs no Python when it is replayed, so what else Python computes stays as it was at the
        recording.

        Args:
            make: From the number of the step to a number, or to a tensor of the CPU (int64 or float32). It uses nothing
                else that changes from step to step.
            step: The number of the step.

        Returns:
            What was made; where steps are recorded, its place on the device.
        """
        return make(step) if self.host_values is None else self.host_values(make)

    def unrecordable(self) -> str | None:
        """Say why a step of this stage cannot be recorded and replayed; None where it can.

        It can where its operations are the same at every step, nothing waits for a value of the device, and whatever
        differs from step to step is in the batch, in `modules`, from `host_value`, or drawn on the device. Subclasses
        that replace the step of a method that can must answer for their own.
        """
        return f"{self.name} does not say that its steps can be recorded"

    def after_step(self, step: int) -> None:
        """Called after the optimiser's step, for moving averages and queues; never recorded."""

    def predict(self, images: Tensor) -> Tensor:
        """Compute logits (B, K, *spatial) for images (B, C, *spatial)."""
        logits: Tensor = self.modules["network"](images)
        return logits
