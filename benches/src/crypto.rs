//! Every operation of `daa-crypto`, beside the provider called bare in the same run. Target: at most 10 % over it.
//!
//! Ours does more where the peer is bare: it frames the message with its context, checks the policy, encodes. What is
//! measured is what a caller waits for. Both take turns, so that a busy machine slows both; the figure is the median of
//! the rounds.

mod keys;
mod sealing;
mod signatures;

use std::hint::black_box;
use std::time::Instant;

use crate::line::{Better, Line};

const ROUNDS: usize = 31;

pub(crate) fn run() -> Vec<Line> {
    [signatures::run(), keys::run(), sealing::run()].into_iter().flatten().collect()
}

/// Microseconds of one call of each, in turns of this many calls.
fn pair<A, B>(calls: u32, mut ours: impl FnMut() -> A, mut peer: impl FnMut() -> B) -> (f64, f64) {
    let (mut of_ours, mut of_peer) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        of_ours.push(turn(calls, &mut ours));
        of_peer.push(turn(calls, &mut peer));
    }
    (median(of_ours), median(of_peer))
}

fn turn<T>(calls: u32, call: &mut impl FnMut() -> T) -> f64 {
    let began = Instant::now();
    for _ in 0..calls {
        black_box(call());
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn line(metric: impl Into<String>, peer: &str, (ours, peers): (f64, f64)) -> Line {
    Line::alone("crypto", metric, "us", ours).beside(peer, peers, Better::Lower)
}

/// The same in megabytes a second, for what is long.
fn rate(metric: impl Into<String>, peer: &str, bytes: usize, (ours, peers): (f64, f64)) -> Line {
    let rate = |microseconds: f64| bytes as f64 / microseconds;
    Line::alone("crypto", metric, "MB/s", rate(ours)).beside(peer, rate(peers), Better::Higher)
}
