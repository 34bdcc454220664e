//! Observations of stages, with the outs that the supply brings meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::super::message::{Message, Spent};
use super::super::supply::{Supplied, observe_supplied, reasons_to_restore};
use super::{Dispatcher, PANICKED};
use crate::engine::observe::Observation;
use crate::error::{Error, Result};
use crate::event::{Event, Outcome, StageInputs, Work};
use crate::pipeline::StageIx;
use crate::plan::{Change, Decision, Fingerprint, Force};
use crate::schedule::{Effect, Input, Need};

impl Dispatcher<'_, '_> {
    /// Observes a stage on a thread of its own.
    pub(super) fn observe(&mut self, ix: StageIx) {
        self.observing.insert(ix);
        let (project, sender) = (Arc::clone(self.project), self.sender.clone());
        let force = if self.options.forced.contains(ix) { Force::Yes } else { Force::No };
        let on_foreign = self.options.on_foreign;
        let supply = Arc::clone(&self.options.supply);
        let progress_to = self.sender.clone();
        let spawned = self.observers.spawn(move || {
            let progress = |observation: &Observation, done, total| {
                let inputs = inputs_of(&observation.fingerprint);
                let reasons = reasons_to_restore(&observation.decision);
                let _ = progress_to.send(Message::Supplying(
                    ix,
                    (done, total),
                    Box::new((reasons, inputs)),
                ));
            };
            let observing = AssertUnwindSafe(|| {
                observe_supplied(&project, ix, force, on_foreign, &*supply, &progress)
            });
            let panicked = |_| (Err(Error::environment(PANICKED)), Supplied::default());
            let (observed, supplied) = catch_unwind(observing).unwrap_or_else(panicked);
            // The dispatcher outlives every observation.
            let observed = observed.map(Arc::new);
            let _ = sender.send(Message::Observed(ix, observed, supplied));
        });
        if let Err(error) = spawned {
            let observed = Message::Observed(ix, Err(error), Supplied::default());
            let _ = self.sender.send(observed);
        }
    }

    /// Takes the observation of a stage and returns the effects that follow.
    pub(super) fn observed(
        &mut self,
        ix: StageIx,
        observed: Result<Arc<Observation>>,
        supplied: Supplied,
    ) -> Vec<Effect> {
        for text in supplied.warnings {
            self.ledger.emit(Event::Warning { stage: None, text });
        }
        if supplied.from.is_some() {
            self.stages[ix].supplied = Some((supplied.from, supplied.took));
        }
        if !self.observing.remove(&ix) {
            // It arrived after a stop, which has already dropped the stage.
            return Vec::new();
        }
        if let Ok(Decision::Fresh(trace)) = observed.as_ref().map(|one| &one.decision) {
            self.ledger.remember(ix, trace.clone());
            self.ledger.end(ix, Outcome::Fresh, trace.outs.clone(), Spent::default());
            return self.advance(Input::Observed(ix, Need::Nothing));
        }
        if let Ok(observation) = &observed
            && !self.may_compute(ix, observation)
        {
            self.observing.insert(ix);
            return Vec::new();
        }
        self.stages[ix].observed = Some(observed);
        self.just_observed = Some(ix);
        self.advance(Input::Observed(ix, Need::Work))
    }

    /// Reports that the outs of a stage are arriving, which is the first part of restoring it.
    pub(super) fn show_supplying(
        &mut self,
        ix: StageIx,
        (done, total): (u64, u64),
        reasons: Vec<Change>,
        inputs: StageInputs,
    ) {
        self.ledger.begin();
        if !std::mem::replace(&mut self.stages[ix].is_announced, true) {
            self.announce(ix, Work::Restore, reasons, inputs);
        }
        if total > 0 {
            let stage = self.ledger.name(ix);
            self.ledger.emit(Event::Progress { stage, done, total });
        }
    }

    /// Reports whether the stage need not wait for another run that is computing the same.
    pub(super) fn may_compute(&mut self, ix: StageIx, observation: &Observation) -> bool {
        let is_input = self.project.pipeline.stages[ix].is_tracked_input();
        if is_input || !matches!(observation.decision, Decision::Run(_)) {
            return true;
        }
        self.stages[ix].claim =
            self.shared.claim(&self.project.cache, observation.fingerprint.key(), ix);
        self.stages[ix].claim.is_some()
    }
}

pub(super) fn inputs_of(fingerprint: &Fingerprint) -> StageInputs {
    let set = fingerprint.env.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
    let inherited = fingerprint.env_deps.clone().into_iter();
    StageInputs { tools: fingerprint.tools.clone(), env: inherited.chain(set).collect() }
}
