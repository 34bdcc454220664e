//! A random choice of stages to run, stages to force, and the behaviour after a failure; as
//! command-line arguments and as sets.

use std::collections::BTreeSet;

use repro::engine::OnForeign;
use repro::schedule::OnFailure;

use crate::declared::{Stage, ordered};
use crate::random::Random;

#[derive(Debug)]
pub struct Choice {
    /// The selected stages; `None` selects all.
    selected: Option<BTreeSet<String>>,
    forced: BTreeSet<String>,
    /// The command-line arguments; empty for all stages, none of them forced.
    pub args: Vec<String>,
    pub on_failure: OnFailure,
    pub on_foreign: OnForeign,
}

impl Choice {
    /// Selects all stages and forces none.
    pub fn all() -> Choice {
        Choice {
            selected: None,
            forced: BTreeSet::new(),
            args: Vec::new(),
            on_failure: OnFailure::KeepGoing,
            on_foreign: OnForeign::Refuse,
        }
    }

    /// Returns a choice for `status`: all stages, or one with the stages it needs.
    pub fn for_status(stages: &[Stage], random: &mut Random) -> Choice {
        let names: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
        match random.any(&names).filter(|_| random.percent(20)) {
            Some(target) => Choice {
                selected: Some(with_needs(stages, [target.clone()].into())),
                args: vec![target],
                ..Choice::all()
            },
            None => Choice::all(),
        }
    }

    /// Returns a choice for `run`.
    pub fn for_run(stages: &[Stage], random: &mut Random) -> Choice {
        let names: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
        let mut choice = Choice::all();
        if random.percent(25) {
            choice.on_failure = OnFailure::Stop;
        }
        if random.percent(30) {
            choice.on_foreign = OnForeign::Replace;
            choice.args.push("--replace".into());
        }
        let Some(target) = random.any(&names) else { return choice };
        let targets = BTreeSet::from([target.clone()]);
        let (selected, option) = match random.below(100) {
            0..=69 => (None, None),
            70..=79 => (Some(with_needs(stages, targets)), None),
            80..=89 => (Some(targets), Some("--only")),
            _ => (Some(with_needs(stages, with_dependents(stages, targets))), Some("--downstream")),
        };
        choice.args.extend(option.map(str::to_owned));
        choice.args.extend(selected.iter().map(|_| target.clone()));
        choice.selected = selected;
        let selected: Vec<String> = names.into_iter().filter(|name| choice.selects(name)).collect();
        match random.below(100) {
            0..=5 => {
                let name = random.any(&selected);
                choice.args.extend(name.iter().map(|name| format!("-f={name}")));
                choice.forced.extend(name);
            }
            6 => {
                choice.args.push("-f".into());
                choice.forced.extend(selected);
            }
            _ => {}
        }
        choice
    }

    /// Reports whether this is [`Choice::all`]; then the engine loads only stages that may be
    /// stale.
    pub fn is_all(&self) -> bool {
        self.args.is_empty()
    }

    pub fn selects(&self, name: &str) -> bool {
        self.selected.as_ref().is_none_or(|selected| selected.contains(name))
    }

    pub fn forces(&self, name: &str) -> bool {
        self.forced.contains(name)
    }
}

fn with_needs(stages: &[Stage], mut selected: BTreeSet<String>) -> BTreeSet<String> {
    for (stage, needs) in ordered(stages).unwrap().iter().rev() {
        if selected.contains(&stage.name) {
            selected.extend(needs.iter().cloned());
        }
    }
    selected
}

fn with_dependents(stages: &[Stage], mut selected: BTreeSet<String>) -> BTreeSet<String> {
    for (stage, needs) in ordered(stages).unwrap() {
        if needs.iter().any(|need| selected.contains(need)) {
            selected.insert(stage.name);
        }
    }
    selected
}
