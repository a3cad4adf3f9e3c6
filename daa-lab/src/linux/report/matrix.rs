//! Who reached whom, as a triangle.

use super::{Pair, Screen};
use crate::linux::plan::{Plan, Uplink};

/// Draws the pairs.
pub(super) fn draw(plan: &Plan, pairs: &[Pair], screen: &Screen) -> Vec<String> {
    let mut lines = vec![String::new()];
    let width = plan.places.iter().map(|place| place.name.len()).max().unwrap_or_default();
    for (row, place) in plan.places.iter().enumerate() {
        let behind = match plan.uplink(place) {
            Uplink::Public => "public",
            Uplink::Cone => "NAT that keeps ports",
            Uplink::Symmetric => "NAT that changes ports",
            Uplink::None => "local network",
        };
        let mut line = format!("    {:<width$}  ", place.name);
        for column in 0..row {
            let pair = pairs.iter().find(|pair| (pair.from, pair.to) == (column, row));
            line += &pair.map_or_else(|| screen.faint("·"), |pair| screen.sign(pair.how));
            line.push(' ');
        }
        let rest = plan.places.len() - row;
        lines.push(format!("{line}{}{}", "  ".repeat(rest), screen.faint(behind)));
    }
    lines.push(String::new());
    lines
}
