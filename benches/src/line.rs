//! One measured figure.

use serde::Serialize;

/// A figure of ours, beside a peer's where there is one.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    bench: &'static str,
    metric: String,
    unit: &'static str,
    ours: f64,
    peer: Option<f64>,
    peer_name: Option<String>,
    /// Ours against the peer, so that more is better.
    ratio: Option<f64>,
}

/// Whether a larger figure is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

impl Line {
    /// A figure without a peer.
    pub(crate) fn alone(
        bench: &'static str,
        metric: impl Into<String>,
        unit: &'static str,
        ours: f64,
    ) -> Self {
        Self { bench, metric: metric.into(), unit, ours, peer: None, peer_name: None, ratio: None }
    }

    /// Puts a peer's figure of the same run beside it.
    pub(crate) fn beside(self, peer_name: impl Into<String>, peer: f64, better: Better) -> Self {
        let ratio = if better == Better::Higher { self.ours / peer } else { peer / self.ours };
        Self { peer: Some(peer), peer_name: Some(peer_name.into()), ratio: Some(ratio), ..self }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a line has a JSON form")
    }

    pub(crate) fn text(&self) -> String {
        let own = format!("{:<12} {:<44} {:>14.2} {}", self.bench, self.metric, self.ours, self.unit);
        match (self.peer, &self.peer_name, self.ratio) {
            (Some(peer), Some(name), Some(ratio)) => format!("{own}   {name} {peer:.2}   ratio {ratio:.2}"),
            _ => own,
        }
    }
}
