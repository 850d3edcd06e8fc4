"""Options of ``glitbuild train``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glitbuild.clip.facts import LEAST_CONTEXT, LONG_CONTEXT, FactOptions
from glitbuild.clip.precision import AUTO, BF16, FP32
from glitbuild.engine.cluster import check_workers
from glitbuild.errors import ConfigError
from glitbuild.options import OVERWRITE, RAY_ADDRESS, Content, about
from glitbuild.records import writable
from glitbuild.stages.train.cache import cache_folder, size_in_bytes

LOSSES = ("global", "local", "tsl")
PAIRS = ("best", "top3", "all")
PRECISIONS = (AUTO, FP32, BF16)


@dataclass(frozen=True, slots=True)
class TrainOptions(FactOptions):
    """Fine-tune a CLIP on matched shards for long captions, by default of up to 248 tokens.

    DIR is a dataset directory that `glitbuild match` finished; there may be several. Running the same command again
    resumes an interrupted run.
    """

    dir: str | Sequence[str] = field(
        metadata=about(
            "Dataset directory that `match` made, or several.",
            argument=True,
            metavar="DIR...",
            content=Content.DERIVED,
        )
    )
    out: str = field(metadata=about("Folder of the run; the model is written there at the end."))
    model: str = field(
        default="ViT-B-16",
        metadata=about("Architecture of open_clip, folder of a run, or demo.", content=Content.DERIVED),
    )
    pretrained: str | None = field(
        default=None,
        metadata=about("Tag of open_clip, or checkpoint file.", absent="openai", content=Content.DERIVED),
    )
    context_length: int = field(
        default=LONG_CONTEXT,
        metadata=about(
            "Number of tokens to read per caption; the model is stretched to it.",
            least=LEAST_CONTEXT,
            content=Content.IF_SET,
        ),
    )
    repeat: float | Sequence[float] = field(
        default=(),
        metadata=about(
            "Number of times that each sample of a DIR is seen per epoch, one number for each DIR, such as 2,0.5.",
            absent="once",
            above=0,
            most=100,
            commas=True,
            content=Content.DERIVED,
        ),
    )
    epochs: int = field(default=10, metadata=about("Number of epochs.", least=1, content=Content.YES))
    batch_size: int = field(
        default=256, metadata=about("Samples per step, over all processes.", least=1, content=Content.YES)
    )
    accumulate: int = field(
        default=1, metadata=about("Parts in which a batch is computed; the step stays the same.", least=1)
    )
    lr: float = field(default=5e-6, metadata=about("Peak learning rate.", above=0, content=Content.YES))
    weight_decay: float = field(
        default=0.05, metadata=about("Weight decay of AdamW, for matrices.", least=0, content=Content.YES)
    )
    warmup: float = field(
        default=0.0,
        metadata=about(
            "Share of the steps over which the learning rate rises.", least=0, below=1, content=Content.YES
        ),
    )
    clip_grad: float = field(
        default=0.0,
        metadata=about("Largest norm of the gradients; 0 for no limit.", least=0, content=Content.YES),
    )
    loss: str = field(default="global,local,tsl", metadata=about("Losses to sum.", content=Content.YES))
    local_weight: float = field(
        default=0.5, metadata=about("Weight of the local loss.", least=0, content=Content.YES)
    )
    tsl_weight: float = field(
        default=1.0, metadata=about("Weight of the token similarity loss.", least=0, content=Content.YES)
    )
    pairs: str = field(
        default="best",
        metadata=about(
            "Local pairs: best, or one of the top3 or of all, drawn per epoch.",
            choices=PAIRS,
            content=Content.YES,
        ),
    )
    unlocked_image_groups: int | None = field(
        default=None,
        metadata=about(
            "Train only the last N groups of the image tower.", absent="all", least=0, content=Content.YES
        ),
    )
    unlocked_text_layers: int | None = field(
        default=None,
        metadata=about(
            "Train only the last N layers of the text tower.", absent="all", least=0, content=Content.YES
        ),
    )
    precision: str = field(
        default=AUTO,
        metadata=about(
            "Precision of the model's computation: fp32, or bf16 autocast; auto is bf16 on a GPU, fp32 on a CPU.",
            choices=PRECISIONS,
            content=Content.IF_SET,
        ),
    )
    grad_checkpointing: bool = field(
        default=False,
        metadata=about("Recompute activations in the backward pass: the same steps in less memory, but slower."),
    )
    compile: bool = field(
        default=False,
        metadata=about("Compile the layers with torch.compile: the first steps are slow, the others faster."),
    )
    gpus: int | None = field(
        default=None,
        metadata=about("Number of GPUs, one process each, through Ray.", absent="one process", least=1),
    )
    workers: int | None = field(
        default=None, metadata=about("Number of CPU processes instead, through Ray.", least=1)
    )
    loader_workers: int = field(
        default=2,
        metadata=about("Data loading processes per training process; 0 loads in the training process.", least=0),
    )
    cache: str | None = field(
        default=None,
        metadata=about("Folder for the shards of a remote DIR.", absent="~/.cache/glitbuild/shards"),
    )
    cache_size: str | None = field(
        default=None, metadata=about("Maximum size of the cache, such as 500MB.", absent="50GB", numeric=True)
    )
    save_every: int = field(default=500, metadata=about("Steps between checkpoints.", least=1))
    val: str | None = field(
        default=None,
        metadata=about("Matched dataset to validate on; the best model is kept in RUN/best."),
    )
    val_every: int = field(default=500, metadata=about("Steps between validations.", least=1))
    restarts: int = field(
        default=3,
        metadata=about("Restarts from the last checkpoint after one of several processes died.", least=0),
    )
    seed: int = field(default=0, metadata=about("Seed for the order of the samples.", least=0, content=Content.YES))
    ray_address: str | None = field(default=None, metadata=RAY_ADDRESS)
    wandb: bool = field(default=False, metadata=about("Log to Weights & Biases too."))
    resume: bool = field(default=False, metadata=about("Fail unless there is a checkpoint to resume from."))
    overwrite: bool = field(default=False, metadata=OVERWRITE)

    def __post_init__(self) -> None:
        FactOptions.__post_init__(self)
        if not self.out or "://" in self.out:
            raise ConfigError(f"--out {self.out}", "not a local folder", "give a folder on this machine")
        if writable(self.out) != self.out:
            raise ConfigError(
                f"--out {self.out}",
                "its name is not valid UTF-8, which TensorBoard requires",
                "choose another --out",
            )
        if not self.losses or self.losses - set(LOSSES) or len(self.losses) != len(self.loss.split(",")):
            raise ConfigError(
                f"--loss {self.loss}", "not a list of losses", "give one or more of " + ",".join(LOSSES)
            )
        if not self.dirs:
            raise ConfigError("DIR", "none is given", "give a dataset directory that `glitbuild match` made")
        if len(self.repeats) != len(self.dirs):
            count = f"{len(self.repeats)} given for {len(self.dirs)} dataset directories"
            raise ConfigError(f"--repeat {','.join(f'{n:g}' for n in self.repeats)}", count, "give one for each")
        if not any(self.loss_weights.values()):
            names = " and ".join(f"--{name}-weight 0" for name in LOSSES if name in self.losses)
            raise ConfigError(f"--loss {self.loss}", f"no loss is left with {names}", "give a weight above 0")
        if self.pairs != "best" and self.losses == {"global"}:
            raise ConfigError(f"--pairs {self.pairs}", "--loss global uses no pairs", "omit it")
        if self.cache is not None and (not self.cache or "://" in self.cache):
            raise ConfigError(f"--cache {self.cache}", "not a local folder", "give a folder on this machine")
        if not self.cache_limit:
            raise ConfigError(f"--cache-size {self.cache_size}", "not a size", "give one such as 500MB or 50GB")
        check_workers(self.workers, self.gpus, self.ray_address)
        if self.resume and self.overwrite:
            raise ConfigError("--resume and --overwrite", "they are mutually exclusive", "give one of the two")

    @property
    def dirs(self) -> tuple[str, ...]:
        """Dataset directories."""
        return (self.dir,) if isinstance(self.dir, str) else tuple(self.dir)

    @property
    def repeats(self) -> tuple[float, ...]:
        """Number of times that each sample is seen per epoch, for each dataset directory."""
        given = (self.repeat,) if isinstance(self.repeat, int | float) else tuple(self.repeat)
        return given or (1.0,) * len(self.dirs)

    @property
    def losses(self) -> frozenset[str]:
        """Names of the losses that are computed."""
        return frozenset(self.loss.split(","))

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weight of each loss that is computed."""
        every = {"global": 1.0, "local": self.local_weight, "tsl": self.tsl_weight}
        return {name: every[name] for name in LOSSES if name in self.losses}

    @property
    def cache_folder(self) -> Path:
        """Folder in which the shards of a remote dataset are kept; the default is in the user's cache folder."""
        return cache_folder(self.cache)

    @property
    def cache_limit(self) -> int:
        """Maximum total size of these shards in bytes; 0 if the option is not a size."""
        return size_in_bytes(self.cache_size)

    @property
    def world_size(self) -> int:
        """Number of training processes."""
        return self.gpus or self.workers or 1
