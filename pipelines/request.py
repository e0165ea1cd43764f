"""RunRequest: the form, and the only definition of a run."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,39}$"
NAME_RULE = "a lower-case letter, then up to 39 lower-case letters, digits or hyphens"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class RunRequest(BaseModel):
    """What a person chooses for one run. Flat; a default good enough for everything but dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Name = Field(
        title="Dataset",
        description="Name under which the pictures were imported.",
    )
    deployment: Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9-]{0,39})?$")] = Field(
        default="",
        title="Deployment",
        description="Name under which the model is served. Empty: the dataset's name.",
    )
    min_accuracy: float = Field(
        default=0.8,
        ge=0,
        le=1,
        title="Least accuracy",
        description="A model below this accuracy on the test side is not put in service.",
    )
    deploy: bool = Field(
        default=True,
        title="Put in service",
        description="Off: stop after the report.",
    )
    devices: Literal["auto", "cpu", "gpu"] = Field(
        default="auto",
        title="Devices",
        description="auto: one process per GPU where there are any, else one per CPU core.",
    )
    max_epochs: int = Field(
        default=200,
        ge=1,
        le=10_000,
        title="Most epochs",
        description="Training stops earlier when the validation side stops getting better.",
    )
    patience: int = Field(
        default=15,
        ge=1,
        le=1_000,
        title="Patience",
        description="Epochs without a better validation result before training stops.",
    )
    learning_rate: float = Field(
        default=0.002,
        gt=0,
        le=1,
        title="Learning rate",
        description="Step size of the optimizer at the start.",
    )
    weight_decay: float = Field(
        default=0.01,
        ge=0,
        le=1,
        title="Weight decay",
        description="Pull of the weights towards zero; more of it guards small datasets.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="The same seed, data and machine give the same model.",
    )

    @property
    def served_as(self) -> str:
        """The deployment's name."""
        return self.deployment or self.dataset
