//! A run that waits in the middle, so that pages can be seen while it goes.

use std::fs;
use std::process::{Child, Stdio};

use crate::sandbox::Sandbox;

const PIPELINE: &str = r#"
[metrics]
score = { goal = "max" }
[stages.hold]
cmd = """
echo 'the first line'
printf '{"metric": "loss", "step": 1, "value": 0.75}\n' >> $REPRO_EVENTS
cat go
echo 'the last line'
printf '{"score": 0.625}' > metrics.json
"""
metrics = ["metrics.json"]
"#;

/// Returns a project without runs, whose run waits until it is released.
pub fn project() -> Sandbox {
    let sandbox = Sandbox::with(PIPELINE);
    sandbox.fifo("go");
    sandbox
}

pub struct HeldRun<'s> {
    sandbox: &'s Sandbox,
    child: Child,
}

impl HeldRun<'_> {
    pub fn start(sandbox: &Sandbox) -> HeldRun<'_> {
        let mut command = sandbox.command(&["run", "--force", "hold"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        HeldRun { sandbox, child }
    }

    /// Lets the run go on, and waits for its end.
    pub fn release(mut self) {
        let path = self.sandbox.path("go");
        deadline::within(move || fs::write(path, "").unwrap());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Ends the run if its test failed.
impl Drop for HeldRun<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
