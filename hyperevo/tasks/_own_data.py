"""Options of tasks on a user's own data: where they are, and which of them are held out."""

from pydantic import Field, field_validator

from hyperevo.components import TaskSettings


class OwnDataSettings(TaskSettings):
    """Options of a task on the user's own data."""

    path: str = ""
    """Path of the data. A run does not copy them: it keeps their checksum, and a resumed run needs them again."""
    validation: float | str = 0.15
    """Examples that choose the champion: a share of the training examples, or the path of others."""
    test: float | str = 0.15
    """Examples that test the champion: a share of the training examples, or the path of others."""
    split: int = Field(0, ge=0)
    """Seed of the draw of validation and test examples."""

    def files(self) -> tuple[str, ...]:
        """Paths of the data."""
        return tuple(path for path in (self.path, self.validation, self.test) if path and isinstance(path, str))

    @field_validator("validation", "test")
    @classmethod
    def _is_share(cls, part: float | str) -> float | str:
        if isinstance(part, float) and not 0 < part < 1:
            raise ValueError("a share lies between 0 and 1")
        return part
