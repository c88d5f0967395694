"""What a reproduction's stages left in its folder."""

from collections.abc import Iterator

from bneck import records
from bneck.reproduction.measuring import MeasuredAgain, MeasuredNetwork, MeasuredStep
from bneck.reproduction.plan import ReproductionPlan, numbers
from bneck.results.record import Step
from bneck.results.run import Run
from bneck.results.run_files import RunFiles, TrainingFiles
from bneck.results.run_folder import PLAN
from bneck.results.stage_record import Shrunk, Training


def plan_of(run: Run) -> ReproductionPlan:
    """The plan of a reproduction's run; errors name its file."""
    return records.from_json(ReproductionPlan, dict(run.plan), str(run.folder / PLAN))


class ReproductionResults:
    """The files of a reproduction, and what can be read from them so far."""

    def __init__(self, run: Run, plan: ReproductionPlan) -> None:
        self.run, self.plan = run, plan
        self.factors = numbers("factors", plan.factors)
        self.compared_file = run.folder / "compared.jsonl"
        """``MeasuredNetwork`` records, one a line."""
        self.measured_steps_file = run.folder / "path.jsonl"
        """``MeasuredStep`` records, one a line."""
        self.trained_ms_file = run.folder / "measured_trained.jsonl"
        """``MeasuredAgain`` records, one a line."""

    def derived(self) -> dict[float, Shrunk]:
        """The network that NetAdapt ended with, by factor."""
        found = {
            factor: records.read_lines(self.netadapt_run(factor).shrunk, Shrunk)
            for factor in sorted(self.factors, reverse=True)
        }
        return {factor: shrunk[0] for factor, shrunk in found.items() if shrunk}

    def steps(self, factor: float) -> tuple[Step, ...]:
        """NetAdapt's path to a factor, the seed network first."""
        return records.read_lines(self.netadapt_run(factor).steps, Step)

    def compared(self) -> tuple[MeasuredNetwork, ...]:
        """All that is trained, as measured; () before that stage."""
        return records.read_lines(self.compared_file, MeasuredNetwork)

    def measured_steps(self) -> tuple[MeasuredStep, ...]:
        """NetAdapt's paths, measured; () before that stage."""
        return records.read_lines(self.measured_steps_file, MeasuredStep)

    def measured_again(self) -> dict[str, MeasuredAgain]:
        """Each network as measured with its trained weights, by name; {} before that stage."""
        return {one.name: one for one in records.read_lines(self.trained_ms_file, MeasuredAgain)}

    def trainings(self, one: MeasuredNetwork) -> Iterator[Training]:
        """The trainings of a network that are done."""
        for seed in range(self.plan.seeds):
            file = self.training_files(one, seed).result
            if training := records.read_if_written(file, Training):
                yield training

    def training_files(self, one: MeasuredNetwork, seed: int) -> TrainingFiles:
        """The files of a network's training from one seed."""
        return self.run.training(training_name(one, seed))

    def part(self, name: str) -> RunFiles:
        """The files of one stage's run, in a folder of this one."""
        return RunFiles(self.run.folder / name)

    def netadapt_run(self, factor: float) -> RunFiles:
        """The files of NetAdapt's run to a factor."""
        return self.part(netadapt_folder(factor))


def training_name(one: MeasuredNetwork, seed: int) -> str:
    """The name of a network's training from one seed."""
    return f"{one.name}-seed{seed}"


def netadapt_folder(factor: float) -> str:
    """The folder of NetAdapt's run to a factor."""
    return f"netadapt/{factor:g}x"
