//! Which stages are asked for, which are forced, and what a run does after a failure: as words on a command line, and what they come to.

use std::collections::BTreeSet;

use repro::schedule::OnFailure;

use crate::declared::{Stage, ordered};
use crate::random::Random;

#[derive(Debug)]
pub struct Choice {
    /// All, if `None`.
    wanted: Option<BTreeSet<String>>,
    forced: BTreeSet<String>,
    /// What a user types for it; nothing for all stages as they are.
    pub words: Vec<String>,
    pub on_failure: OnFailure,
}

impl Choice {
    /// All stages as they are.
    pub fn all() -> Choice {
        Choice {
            wanted: None,
            forced: BTreeSet::new(),
            words: Vec::new(),
            on_failure: OnFailure::KeepGoing,
        }
    }

    /// For a status: all, or one with what it needs.
    pub fn to_look(stages: &[Stage], random: &mut Random) -> Choice {
        let names: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
        match random.any(&names).filter(|_| random.percent(20)) {
            Some(target) => Choice {
                wanted: Some(with_needs(stages, [target.clone()].into())),
                words: vec![target],
                ..Choice::all()
            },
            None => Choice::all(),
        }
    }

    pub fn to_run(stages: &[Stage], random: &mut Random) -> Choice {
        let names: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
        let mut choice = Choice::all();
        if random.percent(25) {
            choice.on_failure = OnFailure::Stop;
        }
        let Some(target) = random.any(&names) else { return choice };
        let targets = BTreeSet::from([target.clone()]);
        let (wanted, option) = match random.below(100) {
            0..=69 => (None, None),
            70..=79 => (Some(with_needs(stages, targets)), None),
            80..=89 => (Some(targets), Some("--only")),
            _ => (Some(with_needs(stages, with_dependents(stages, targets))), Some("--downstream")),
        };
        choice.words.extend(option.map(str::to_owned));
        choice.words.extend(wanted.iter().map(|_| target.clone()));
        choice.wanted = wanted;
        let wanted: Vec<String> = names.into_iter().filter(|name| choice.wants(name)).collect();
        match random.below(100) {
            0..=5 => {
                choice.words.extend(random.any(&wanted).iter().map(|name| format!("-f={name}")));
                choice.forced.extend(
                    choice
                        .words
                        .last()
                        .and_then(|word| word.strip_prefix("-f="))
                        .map(str::to_owned),
                );
            }
            6 => {
                choice.words.push("-f".into());
                choice.forced.extend(wanted);
            }
            _ => {}
        }
        choice
    }

    /// Those that are fresh are then left out of what the engine loads.
    pub fn is_all(&self) -> bool {
        self.words.is_empty()
    }

    pub fn wants(&self, name: &str) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(name))
    }

    pub fn forces(&self, name: &str) -> bool {
        self.forced.contains(name)
    }
}

fn with_needs(stages: &[Stage], mut wanted: BTreeSet<String>) -> BTreeSet<String> {
    for (stage, needs) in ordered(stages).unwrap().iter().rev() {
        if wanted.contains(&stage.name) {
            wanted.extend(needs.iter().cloned());
        }
    }
    wanted
}

fn with_dependents(stages: &[Stage], mut wanted: BTreeSet<String>) -> BTreeSet<String> {
    for (stage, needs) in ordered(stages).unwrap() {
        if needs.iter().any(|need| wanted.contains(need)) {
            wanted.insert(stage.name);
        }
    }
    wanted
}
