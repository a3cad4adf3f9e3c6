//! What the terminal shows while the swarm works.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Live progress: a bar for each agent, and the state of the model above them. Where there is no terminal, a line
/// for each round.
pub(crate) struct Display {
    mode: Mode,
    rounds: u64,
}

enum Mode {
    Quiet,
    Lines,
    Bars { bars: MultiProgress, model: ProgressBar, agents: BTreeMap<String, ProgressBar> },
}

impl Display {
    pub(crate) fn new(quiet: bool, rounds: u64) -> Self {
        use std::io::IsTerminal;
        let mode = if quiet {
            Mode::Quiet
        } else if std::io::stdout().is_terminal() {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stdout_with_hz(15));
            let model = bars.add(ProgressBar::new(rounds));
            model.set_style(style("{prefix:<9} {bar:32.green/238} {pos:>3}/{len} {wide_msg}"));
            model.set_prefix("model");
            model.enable_steady_tick(Duration::from_millis(200));
            Mode::Bars { bars, model, agents: BTreeMap::new() }
        } else {
            Mode::Lines
        };
        Self { mode, rounds }
    }

    /// The display, leaving a quiet one in its place: for the end, when nobody else draws any more.
    pub(crate) fn take(&mut self) -> Self {
        Self { mode: std::mem::replace(&mut self.mode, Mode::Quiet), rounds: self.rounds }
    }

    /// A line of its own, which stays.
    pub(crate) fn say(&self, text: &str) {
        match &self.mode {
            Mode::Quiet => {}
            Mode::Lines => println!("{text}"),
            // Without a terminal to draw on, the line is lost, and so is the bar it would stand above.
            Mode::Bars { bars, .. } => drop(bars.println(text)),
        }
    }

    /// An agent has done its part of a round.
    pub(crate) fn agent(&mut self, id: &str, round: u64, message: &str) {
        let rounds = self.rounds;
        if let Mode::Bars { bars, agents, .. } = &mut self.mode {
            let bar = agents.entry(id.to_owned()).or_insert_with(|| {
                let bar = bars.add(ProgressBar::new(rounds));
                bar.set_style(style("{prefix:<9} {bar:32.cyan/238} {pos:>3}/{len} {wide_msg}"));
                bar.set_prefix(id.to_owned());
                bar
            });
            bar.set_position(round);
            bar.set_message(message.to_owned());
        }
    }

    /// An agent will not go on.
    pub(crate) fn end(&mut self, id: &str, message: &str) {
        if let Mode::Bars { agents, .. } = &mut self.mode
            && let Some(bar) = agents.get(id)
        {
            bar.set_style(style("{prefix:<9} {bar:32.red/238} {pos:>3}/{len} {wide_msg}"));
            bar.abandon_with_message(message.to_owned());
        }
    }

    /// A round has closed.
    pub(crate) fn round(&self, round: u64, message: &str) {
        match &self.mode {
            Mode::Quiet => {}
            Mode::Lines => println!("round {round:>3}/{}  {message}", self.rounds),
            Mode::Bars { model, .. } => {
                model.set_position(round);
                model.set_message(message.to_owned());
            }
        }
    }

    /// Takes the bars off the screen, so that the result stands alone.
    pub(crate) fn finish(&mut self) {
        if let Mode::Bars { bars, model, agents } = &mut self.mode {
            model.finish();
            agents.values().for_each(ProgressBar::finish);
            drop(bars.clear());
        }
    }
}

/// A bar's style; the plain bar when the template is not understood.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |s| s.progress_chars("━━─"))
}
