//! What came of a scene: on the terminal, and as JSON.

mod matrix;
mod screen;

use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use super::message::Reached;
use super::plan::Plan;
use crate::args::Args;

pub(crate) use screen::Screen;

/// How a pair is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// Both are in one local network.
    Local,
    /// One of them can be called.
    Direct,
    /// None of them can be called: they have punched holes into their NATs.
    Punched,
    /// A relay carries it.
    Relayed,
    Unreached,
}

impl How {
    const ALL: [Self; 5] = [Self::Local, Self::Direct, Self::Punched, Self::Relayed, Self::Unreached];

    const fn word(self) -> &'static str {
        match self {
            Self::Local => "in one local network",
            Self::Direct => "direct",
            Self::Punched => "direct, through two NATs",
            Self::Relayed => "through a relay",
            Self::Unreached => "not at all",
        }
    }
}

/// Two nodes, by their place in the plan, and how one reached the other. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pair {
    from: usize,
    to: usize,
    how: How,
    /// Whether they were connected before.
    was_connected: bool,
    /// The first answer, the connection included.
    first: Option<f64>,
    /// The second one.
    again: Option<f64>,
    tries: u32,
}

impl Pair {
    pub(crate) fn new(from: usize, to: usize, how: How, reached: Option<Reached>) -> Self {
        Self {
            from,
            to,
            how,
            was_connected: reached.is_some_and(|reached| reached.before.is_some()),
            first: reached.map(|reached| reached.first),
            again: reached.map(|reached| reached.again),
            tries: reached.map_or(0, |reached| reached.tries),
        }
    }
}

/// A leaf that lost its hub, and how long it took to be at home elsewhere.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rehomed {
    pub(crate) leaf: String,
    pub(crate) seconds: f64,
}

#[derive(Debug, Serialize)]
struct Check {
    what: String,
    holds: bool,
    seen: String,
}

/// All pairs at one time.
#[derive(Debug, Default, Serialize)]
struct Pairs {
    when: String,
    pairs: Vec<Pair>,
}

/// What came of a scene.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    scene: String,
    rtt_ms: u64,
    loss_percent: f64,
    seed: u64,
    nodes: Vec<String>,
    checks: Vec<Check>,
    pairs: Vec<Pairs>,
    pub(crate) rehomed: Vec<Rehomed>,
    packets: u64,
    packets_lost: u64,
    seconds: f64,
    #[serde(skip)]
    screen: Screen,
}

impl Report {
    pub(crate) fn new(args: &Args, screen: Screen) -> Self {
        Self {
            scene: args.scene.name(),
            rtt_ms: args.rtt,
            loss_percent: args.loss,
            seed: args.seed,
            nodes: Vec::new(),
            checks: Vec::new(),
            pairs: Vec::new(),
            rehomed: Vec::new(),
            packets: 0,
            packets_lost: 0,
            seconds: 0.0,
            screen,
        }
    }

    pub(crate) fn begin(&mut self, plan: &Plan) {
        self.nodes = plan.places.iter().map(|place| place.name.clone()).collect();
        let hidden = plan.places.iter().filter(|place| plan.uplink(place).is_nat()).count();
        let line = format!(
            "{} nodes, {hidden} of them behind NATs; {} ms there and back, {} % of the packets lost",
            self.nodes.len(),
            self.rtt_ms,
            self.loss_percent
        );
        self.screen.title(&self.scene, &line);
    }

    /// Something that has to be so, and whether it is.
    pub(crate) fn check(&mut self, what: &str, holds: bool, seen: String) {
        self.screen.check(what, holds, &seen);
        self.checks.push(Check { what: what.to_owned(), holds, seen });
    }

    /// Something worth knowing.
    pub(crate) fn note(&self, what: String) {
        self.screen.note(&what);
    }

    /// From here on pairs are at another time.
    pub(crate) fn begin_pairs(&mut self, when: &str) {
        self.pairs.push(Pairs { when: when.trim_start_matches([',', ' ']).to_owned(), pairs: Vec::new() });
    }

    pub(crate) fn pair(&mut self, pair: Pair) {
        if self.pairs.is_empty() {
            self.begin_pairs("");
        }
        if let Some(last) = self.pairs.last_mut() {
            last.pairs.push(pair);
        }
    }

    fn last(&self) -> &[Pair] {
        self.pairs.last().map_or(&[], |pairs| &pairs.pairs)
    }

    /// How many of the last pairs reached each other, of how many.
    pub(crate) fn reached(&self) -> (usize, usize) {
        let pairs = self.last();
        (pairs.iter().filter(|pair| pair.how != How::Unreached).count(), pairs.len())
    }

    /// Shows the last pairs, and how long they took.
    pub(crate) fn matrix(&self, plan: &Plan) {
        self.screen.lines(&matrix::draw(plan, self.last(), &self.screen));
        for how in How::ALL {
            let of_kind = || self.last().iter().filter(move |pair| pair.how == how);
            let count = of_kind().count();
            if count == 0 {
                continue;
            }
            let times = |time: fn(&Pair) -> Option<f64>, is: &dyn Fn(&&Pair) -> bool| {
                let mut times: Vec<f64> = of_kind().filter(is).filter_map(time).collect();
                times.sort_by(f64::total_cmp);
                times
            };
            let new = times(|pair| pair.first, &|pair| !pair.was_connected);
            let again = times(|pair| pair.again, &|_| true);
            self.screen.count(how, count, &[("to connect", &new), ("an answer", &again)]);
        }
    }

    pub(crate) fn end(&mut self, (packets, lost): (u64, u64), took: Duration) {
        (self.packets, self.packets_lost, self.seconds) = (packets, lost, took.as_secs_f64());
        self.screen
            .end(self.is_good(), &format!("{packets} packets, {lost} of them lost; {:.0} s", self.seconds));
    }

    /// Whether all that had to be so was so.
    pub(crate) fn is_good(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.holds)
    }

    pub(crate) fn json(&self) -> Result<String, Failure> {
        serde_json::to_string_pretty(self).map_err(|error| Failure::node("the report", error))
    }
}

/// How long something took, in words.
pub(crate) fn seconds(took: Option<Duration>) -> String {
    took.map_or_else(|| "not in time".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()))
}

/// The value below which this share of sorted values is, in percent.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last * percent).div_ceil(100)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(percentile(&values, 50), Some(11.0));
        assert_eq!(percentile(&values, 95), Some(20.0));
        assert_eq!((percentile(&[7.0], 95), percentile(&[], 50)), (Some(7.0), None));
    }
}
