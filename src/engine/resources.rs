//! The machine's resources and the demand of each stage, in the scheduler's terms.

use crate::pipeline::Pipeline;
use crate::schedule::Capacity;

const CPUS: usize = 0;
const MEM: usize = 1;
const GPUS: usize = 2;
const TOKENS: usize = 3;

/// Returns `cpus` processors, all memory and GPUs of this machine, and the declared tokens.
pub(super) fn capacity(pipeline: &Pipeline, cpus: usize) -> Capacity {
    let needs_gpus = pipeline.stages.iter().any(|stage| stage.resources.gpus > 0);
    let cards = if needs_gpus { count_gpus() } else { 0 };
    let mut limits = vec![(cpus as u64).max(1), memory(), cards.max(1)];
    limits.extend(pipeline.tokens.values());
    let demand = pipeline.stages.iter().map(|stage| {
        let resources = &stage.resources;
        let token = |name: &String| pipeline.tokens.keys().position(|token| token == name);
        let tokens = resources
            .tokens
            .iter()
            .filter_map(|(name, &count)| Some((TOKENS + token(name)?, count)));
        let machine = [(CPUS, resources.cpus.max(1)), (MEM, resources.mem), (GPUS, resources.gpus)];
        machine.into_iter().filter(|(_, amount)| *amount > 0).chain(tokens).collect()
    });
    let demand = demand.collect();
    Capacity { limits, demand }
}

/// Returns the number of processors that this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the total memory in bytes.
fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit)).max(1)
}

fn count_gpus() -> u64 {
    let devices = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let is_card = |name: &str| {
        name.strip_prefix("nvidia")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    devices.filter(|device| device.file_name().to_str().is_some_and(is_card)).count() as u64
}
