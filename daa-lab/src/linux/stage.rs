//! Inside: builds what a scene needs, plays it, and tells what came of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use daa_core::seed::Seed;

use super::failure::Failure;
use super::report::{Report, Screen};
use super::wire::Weather;
use super::{ground, line, outside, scene};
use crate::args::Args;

/// Plays a scene.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    outside::end_with_outside();
    let began = Instant::now();
    let plan = scene::plan(args.scene);
    let mut report = Report::new(args, Screen::new());
    report.begin(&plan);
    ground::build(&plan)?;
    // In range: the arguments were checked.
    let loss = (args.loss * 10_000.0).round() as u32;
    let weather = Weather { delay: Duration::from_millis(args.rtt) / 2, loss };
    let traffic = line::start(weather, Seed::from_u64(args.seed))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::io("the runtime"))?;
    if let Some(folder) = &args.logs {
        std::fs::create_dir_all(folder).map_err(Failure::io(folder.display().to_string()))?;
    }
    runtime.block_on(scene::play(args, &plan, &mut report))?;
    report.end(traffic.counts(), began.elapsed());
    if let Some(file) = &args.json {
        std::fs::write(file, report.json()?).map_err(Failure::io(file.display().to_string()))?;
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
