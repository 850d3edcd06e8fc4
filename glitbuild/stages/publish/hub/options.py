"""The options of ``glitbuild push``."""

from dataclasses import dataclass

from glitbuild.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PushOptions:
    """Options of ``glitbuild push``; see ``glitbuild push --help``. None of them is a token."""

    path: str
    repo: str
    private: bool = False
    create_pr: bool = False
    license: str = ""
    eval: str = ""
    message: str = ""
    dry_run: bool = False

    def __post_init__(self) -> None:
        from huggingface_hub.utils import HFValidationError, validate_repo_id

        fix = "give NAMESPACE/NAME, such as anna/birds"
        try:
            validate_repo_id(self.repo)
        except HFValidationError as error:
            raise ConfigError(self.repo, str(error), fix) from error
        if "/" not in self.repo:
            raise ConfigError(self.repo, "not the name of a repository", fix)
        if self.message and not 3 <= len(self.message.strip()) <= 200:
            raise ConfigError("--message", "a title has 3 to 200 characters", "give another one")
