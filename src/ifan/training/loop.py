"""The training loop, to be read in a sitting."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ifan.datasets.examples import fingerprint_of
from ifan.datasets.photographs import Photographs, decode, fingerprint
from ifan.errors import IfanError
from ifan.files import is_written
from ifan.training.batches import Batch, Rank, batches, checkpoint_number, opened
from ifan.training.checkpoints import RunFolder, Scored, best_of
from ifan.training.cost import cost
from ifan.training.devices import is_out_of_memory, leave_others, open_fabric
from ifan.training.initialisation import make_networks
from ifan.training.losses import Outcome, Tasks, difference
from ifan.training.observing import Observer
from ifan.training.optimisation import learning_rate_share, make_optimizers
from ifan.training.recipe import Recipe, SimulatedData
from ifan.training.teacher import teacher_model
from ifan.training.validation import Judged, judge, require_others, sample, validation_pictures
from ifan.training.views import views_on

_log = logging.getLogger(__name__)


class Training:
    """A training from its first update, or from where it was stopped, to its last.

    It is one of several processes that train together if `torchrun` started it as such.

    Args:
        recipe: what to do.
        folder: where to keep it.
        observer: is told what happens.
        stopped: asked after each update; once it is true, all is saved and training ends.
        workers: how many processes prepare batches.
        accelerator: `auto`, `cpu`, `cuda` or `mps`.
        resume: go on with the run that is there, if there is one.

    Raises:
        IfanError: there is a run already, or one that cannot be gone on with; the device cannot do
            what is asked.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder,
        observer: Observer,
        *,
        stopped: Callable[[], bool] = lambda: False,
        workers: int = 1,
        accelerator: str = "auto",
        resume: bool = False,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.update = 0
        self._scores: list[Scored] = []
        self._fingerprints: dict[str, str] = {}  # of what it is trained with
        self._stopped = stopped
        self._workers = workers
        self._fabric = open_fabric(recipe.precision, accelerator)
        self._rank = Rank(self._fabric.global_rank, self._fabric.world_size)
        self._observer = observer if self._fabric.is_global_zero else _Silent()
        torch.manual_seed(recipe.seed)
        state = self._by_first_process(self._saved if resume else folder.require_unused)
        network, reblurring = make_networks(recipe, begins=state is None)
        losses = recipe.losses
        compare = difference(losses.difference, losses.epsilon)
        self._tasks = Tasks(network, reblurring, losses.weights, compare)
        self._tasks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        is_scaled = recipe.precision == "fp16"
        optimizers = make_optimizers(self._tasks, recipe.optimizer, is_scaled=is_scaled)
        if recipe.compile:
            self._tasks.compile()
        self._module, *self._optimizers = self._fabric.setup(self._tasks, *optimizers)
        self._average = _average(self._tasks, recipe.average)
        if state is not None:
            self._restore(state)

    def run(self) -> bool:
        """Train; return whether it came to its end, rather than being stopped.

        Raises:
            IfanError: a loss is no longer finite, a process was lost, or a picture cannot be read;
                of the last two, all is saved first.
        """
        self._by_first_process(self._prepare)
        if self._any(self._stopped()):  # what was to be prepared may not be complete
            self._save()
            return False
        first = self.update * self.recipe.accumulation
        coming = batches(
            self.recipe,
            first,
            rank=self._rank,
            workers=self._workers,
            photographs=self.folder.photographs,
        )
        with closing(coming), closing(self._observer):
            owes = self._owes_validation
            while owes or self.update < self.recipe.updates:
                try:
                    if not owes:
                        self._step(coming)
                    stopping = self._look_around()
                    owes = False
                except _DivergenceError:
                    raise
                except Exception as error:
                    raise self._failed(error) from error
                if stopping:
                    break
        leave_others()
        return self.update == self.recipe.updates

    def _look_around(self) -> bool:
        """Validate and save if it is time to; return whether training is to stop."""
        # The first process validates before it meets the others: should one be lost, it is done.
        if self._validation_is_due():
            self._validate()
        stopping = self._any(self._stopped())
        ended = self.update == self.recipe.updates
        if stopping or ended or self._is_best or self.update % self.recipe.save_every == 0:
            self._save()
        return stopping

    def _prepare(self) -> None:
        """Make the folder of the run, and decode photographs."""
        self.folder.begin(self.recipe, cost(self._tasks.network))
        data = self.recipe.data
        if isinstance(data, SimulatedData):
            self._prepare_photographs(data)
            if self._stopped():
                return
        else:
            examples = opened(data, self.recipe.needs_views, self.recipe.sample_bits)
            found = fingerprint_of(examples)
            self._require_same("photographs", data.root, found, "does not hold", "names differ")
            require_others(self.recipe, examples)
        # Better now than after hours: a validation set that cannot be read.
        next(validation_pictures(self.recipe, self.folder.photographs), None)
        self._observer.begun(self.update)

    def _prepare_photographs(self, data: SimulatedData) -> None:
        """Decode the photographs that scenes are made of."""
        if not data.photographs:
            remedy = "give it with --set data.photographs=FOLDER"
            raise IfanError("data.photographs", "is not given", remedy)
        photographs = Path(data.photographs)
        found = fingerprint(photographs)
        self._require_same(
            "photographs", photographs, found, "does not hold", "names or sizes differ"
        )
        if data.teacher is not None:
            name = data.teacher.model
            found = teacher_model(name).sha256
            self._require_same("teacher", name, found, "is not", "its weights differ")
        decode(photographs, self.folder.photographs, max(1, self._workers), self._stopped)
        if self._stopped():
            return
        if not Photographs(self.folder.photographs, held_out=data.held_out):
            reason = f"holds no sharp photographs besides {data.held_out} that are kept apart"
            raise IfanError(photographs, reason, "give more, or a lower data.held_out")

    def _require_same(
        self, kind: str, place: str | Path, found: str, is_other: str, difference: str
    ) -> None:
        """Refuse to go on with other pictures, some of which may have been kept apart before.

        Args:
            kind: what is to be the same: `photographs`, or the `teacher`.
            place: where they are.
            found: their fingerprint; that of pictures on disk is of names alone, as a damaged one
                may have been mended since.
            is_other: what the place does if they are others.
            difference: what says that they are.
        """
        if self._fingerprints.setdefault(kind, found) != found:
            reason = f"{is_other} what this run began with: {difference}"
            raise IfanError(place, reason, "give those, or begin anew: --set mode=NAME")

    def _step(self, coming: Iterator[Batch]) -> None:
        """Make one update of the weights."""
        share = learning_rate_share(self.update + 1, self.recipe.updates, self.recipe.schedule)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * share
        parts: list[Outcome] = []
        names: list[str] = []
        for part in range(self.recipe.accumulation):
            batch = next(coming)
            names += batch.names
            is_last = part == self.recipe.accumulation - 1
            with self._fabric.no_backward_sync(self._module, enabled=not is_last):
                outcome = self._module(views_on(self._fabric.device, batch))
                self._fabric.backward(outcome.total / self.recipe.accumulation)
            parts.append(outcome)
            for line in batch.skipped:
                self._observer.skipped(line)
        if self._any(not all(part.total.isfinite() for part in parts)):
            raise self._diverged("a loss", names)
        norm = self._clip()
        # In fp16 the scaler skips such an update, and scales less from then on.
        if not math.isfinite(norm) and self.recipe.precision != "fp16":
            raise self._diverged("a gradient", names)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if self._average is not None:
            self._average.update_parameters(self._tasks)
        self.update += 1
        rate = self.recipe.optimizer.learning_rate * share
        self._observer.updated(self.update, _mean_losses(parts), norm, rate)

    def _clip(self) -> float:
        """Clip the gradients; return their norm before that, not finite if any of them is not."""
        largest = self.recipe.optimizer.largest_norm or math.inf
        norm = self._fabric.clip_gradients(
            self._module, self._optimizers[0], max_norm=largest, error_if_nonfinite=False
        )
        # Muon's updates have a size of their own: gradients of its kernels need no clipping.
        kernels = [
            kernel.grad
            for optimizer in self._optimizers[1:]
            for group in optimizer.param_groups
            for kernel in group["params"]
            if kernel.grad is not None
        ]
        unclipped = float(torch.nn.utils.get_total_norm(kernels))
        return float(cast("Tensor", norm)) if math.isfinite(unclipped) else unclipped

    def _validation_is_due(self) -> bool:
        settings = self.recipe.validation
        left = self.recipe.updates - self.update
        every = settings.last_every if left < settings.last else settings.every
        return left == 0 or self.update == settings.first or self.update % every == 0

    @property
    def _owes_validation(self) -> bool:
        """Whether the run that is gone on with failed while it validated."""
        is_scored = any(scored.update == self.update for scored in self._scores)
        return self.update > 0 and self._validation_is_due() and not is_scored

    def _validate(self) -> None:
        """Score the weights on the validation pictures and keep them; process 0 does it alone."""
        if self._fabric.is_global_zero:
            judged = list(self._judged())
            if judged:
                self._observer.validated(self.update, judged)
            self._keep_weights(judged)
        self._fabric.barrier()

    def _judged(self) -> Iterator[Judged]:
        pictures = validation_pictures(self.recipe, self.folder.photographs)
        for number, (example, mean_coc_px) in enumerate(pictures):
            if number < self.recipe.validation.sample_pictures:
                samples = sample(self._best_tasks, example, self._fabric.device)
                self._observer.sampled(self.update, number, samples)
            yield judge(self._best_tasks.network, example, mean_coc_px, self._fabric.device)

    def _keep_weights(self, judged: list[Judged]) -> None:
        others = [other for other in self._scores if other.update != self.update]
        number = checkpoint_number(self.recipe, self.update, self._rank)
        name = self.folder.weights_name(number)
        if any(other.name == name for other in others):  # of the same epoch
            name = self.folder.weights_name(number, self.update)
        scored = Scored(
            name=name,
            update=self.update,
            psnr=float(np.mean([one.psnr for one in judged])) if judged else None,
            ssim=float(np.mean([one.ssim for one in judged])) if judged else None,
        )
        tasks = self._best_tasks
        self._scores = self.folder.keep_weights(
            [*others, scored], tasks.network, tasks.reblurring, self.recipe
        )

    @property
    def _best_tasks(self) -> Tasks:
        """The tasks with the weights that count: the moving average, if there is one."""
        return self._tasks if self._average is None else cast("Tasks", self._average.module)

    @property
    def _is_best(self) -> bool:
        """Whether no weights before had as good a score as these."""
        best = best_of(self._scores)
        return best is not None and best.update == self.update

    def _save(self) -> None:
        """Write all that going on needs; process 0 does it, as all hold the same."""
        if not self._fabric.is_global_zero:
            return
        state = {
            "update": self.update,
            "tasks": self._tasks.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "precision": self._fabric.strategy.precision.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "fingerprints": self._fingerprints,
            "scores": [scored.model_dump() for scored in self._scores],
        }
        self.folder.save(state, self.recipe, best=self._is_best)
        self._observer.saved(self.update)

    def _saved(self) -> dict[str, Any] | None:
        """Return what was saved; say so if nothing was."""
        state = self.folder.load(self.recipe)
        if state is None:
            _log.warning("%s: has no run to go on with; one begins", self.folder.path)
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        torch.set_rng_state(state["torch_random"])
        self.update = state["update"]
        self._tasks.load_state_dict(state["tasks"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self._fabric.strategy.precision.load_state_dict(state["precision"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._fingerprints = state.get("fingerprints", {})
        self._scores = [Scored.model_validate(scored) for scored in state["scores"]]

    def _by_first_process(self, task: Callable[[], Any]) -> Any:
        """Let process 0 do something; all return what it returned, or raise what it raised.

        So it alone needs to reach the folder of the run; and none takes another turn than the
        others where a disk shows to one machine what it does not yet show to the next.
        """
        outcome = None
        if self._fabric.is_global_zero:
            try:
                outcome = task()
            except IfanError as refusal:
                outcome = refusal
        outcome = self._fabric.broadcast(outcome)
        if isinstance(outcome, IfanError):
            raise outcome
        return outcome

    def _any(self, here: bool) -> bool:
        """Tell whether something is so in any of the processes that train together."""
        if self._rank.processes == 1:
            return here
        flag = torch.tensor(float(here), device=self._fabric.device)
        return bool(self._fabric.all_reduce(flag, reduce_op="max"))

    def _diverged(self, what: str, names: list[str]) -> _DivergenceError:
        seen = ", ".join(names)
        reason = f"update {self.update + 1} has {what} that is not finite; it saw {seen}"
        last = self.folder.last
        good = f"the last good checkpoint is {last}" if is_written(last) else "none was saved yet"
        return _DivergenceError("training", reason, f"{good}; give a lower optimizer.learning_rate")

    def _failed(self, error: Exception) -> Exception:
        """Save what is there, and say what happened if it is known."""
        self._save()
        if not isinstance(error, RuntimeError):
            return error
        subject = f"training after update {self.update}"
        if is_out_of_memory(error):
            remedy = "give a smaller batch or crop, and more accumulation"
            return IfanError(subject, "needs more memory than there is", remedy)
        if self._rank.processes > 1:
            reason = f"failed, perhaps as another process was lost ({error})"
            return IfanError(subject, reason, "go on with --resume")
        return error


class _DivergenceError(IfanError):
    """A loss is not finite: these weights are not to replace those that were saved."""


class _Silent:
    """The observer of all processes but one: whatever it is told, it does nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def _average(tasks: Tasks, decay: float | None) -> AveragedModel | None:
    if decay is None:
        return None
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(tasks, multi_avg_fn=update)


def _mean_losses(parts: list[Outcome]) -> dict[str, float]:
    return {
        task: sum(float(part.losses[task]) for part in parts) / len(parts)
        for task in parts[0].losses
    }
