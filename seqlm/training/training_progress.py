"""Where training stands, in plain values that a checkpoint stores as they are."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TrainingProgress:
    """Steps, epochs, figures and plans. A checkpoint holds all of them."""

    step: int = 0
    epoch: int = 0
    segments_done: int = 0
    """Segments of this epoch already used."""
    plateau_factor: float = 1.0
    """Factor by which plateaus have reduced the learning rate."""
    seconds: float = 0.0
    tokens: int = 0
    figure_sums: dict[str, float] = field(default_factory=dict)
    """Sums over the tokens since the last validation of what each step reported, such as `loss`."""
    tokens_since_report: int = 0
    """Number of tokens in those sums."""
    awaits_validation: bool = False
    """Whether the validation of this step was given up, when training was interrupted."""
    phase_start_step: int = 0
    """Where the present schedule began; a run resumed with new settings begins a new phase."""
    phase_start_epoch: int = 0
    phase_start_segment: int = 0
    planned_steps: int = 0
    """With `minutes`, the step at which training ends (`timed_trainer.py`)."""
    plan_start_step: int = 0
    """The step at which that was planned, and the part of the phase that was done then."""
    plan_start_fraction: float = 0.0
    plan_changes: int = 0
    """How often it was planned anew."""
    validation_seconds: float = 0.0
    """What the last validation took, with its checkpoint."""
    done: bool = False
