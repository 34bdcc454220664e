//! What the machine has, and what stages want of it, in the scheduler's terms.

use crate::pipeline::{Mode, Pipeline, StageIx};
use crate::schedule::Supply;

const CPUS: usize = 0;
const MEM: usize = 1;
const GPUS: usize = 2;
const TOKENS: usize = 3;

/// `cpus` processors, all the memory and all the graphics cards of this machine, and the declared tokens.
pub(super) fn supply(pipeline: &Pipeline, cpus: usize) -> Supply {
    let mut limits = vec![(cpus as u64).max(1), memory(), graphics_cards().max(1)];
    limits.extend(pipeline.tokens.values());
    let wants = pipeline.stages.iter().map(|stage| {
        // A stage whose items are processes of their own has the machine to itself, and fills it.
        if stage.each.as_ref().is_some_and(|each| each.mode != Mode::Together) {
            return limits.iter().copied().enumerate().collect();
        }
        let demand = &stage.demand;
        let token = |name: &String| pipeline.tokens.keys().position(|token| token == name);
        let tokens = demand.tokens.iter().filter_map(|(name, &count)| Some((TOKENS + token(name)?, count)));
        let machine = [(CPUS, demand.cpus.max(1)), (MEM, demand.mem), (GPUS, demand.gpus)];
        machine.into_iter().filter(|(_, amount)| *amount > 0).chain(tokens).collect()
    });
    let wants = wants.collect();
    Supply { limits, wants }
}

/// How many processes of a stage there is room for at once.
pub(super) fn width(pipeline: &Pipeline, ix: StageIx, cpus: usize) -> usize {
    let demand = &pipeline.stages[ix].demand;
    let tokens =
        demand.tokens.iter().map(|(name, wants)| (pipeline.tokens.get(name).copied().unwrap_or(1), *wants));
    let machine =
        [(cpus as u64, demand.cpus), (memory(), demand.mem), (graphics_cards().max(1), demand.gpus)];
    let room =
        machine.into_iter().chain(tokens).filter(|(_, wants)| *wants > 0).map(|(has, wants)| has / wants);
    usize::try_from(room.min().unwrap_or(1)).unwrap_or(1).max(1)
}

/// In bytes.
fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit)).max(1)
}

fn graphics_cards() -> u64 {
    let devices = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let is_card = |name: &str| {
        name.strip_prefix("nvidia").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    devices.filter(|device| device.file_name().to_str().is_some_and(is_card)).count() as u64
}
