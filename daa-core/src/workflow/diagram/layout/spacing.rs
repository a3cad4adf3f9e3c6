//! Heights: each node as close to the mean of its neighbours as order and distances permit.
//!
//! Within a layer this is the isotonic regression of what the nodes wish for, solved by pooling adjacent violators.

use super::{Layout, Side};

/// Between two boxes.
const GAP: f64 = 22.0;
/// Between two lines, or a line and a box.
const LINE_GAP: f64 = 14.0;
const SWEEPS: usize = 16;

pub(super) fn settle(layout: &mut Layout) {
    for at in 0..layout.layers.len() {
        place(layout, at, |_, _| 0.0);
    }
    let count = layout.layers.len();
    for sweep in 0..SWEEPS {
        let forward = sweep % 2 == 0;
        for at in 0..count {
            let (at, side) = if forward { (at, Side::Before) } else { (count - 1 - at, Side::Behind) };
            place(layout, at, |layout, node| wish(layout, node, &[side]));
        }
    }
    for at in 0..count {
        place(layout, at, |layout, node| wish(layout, node, &[Side::Before, Side::Behind]));
    }
}

/// The mean of the neighbours on these sides, or where the node is.
fn wish(layout: &Layout, node: usize, sides: &[Side]) -> f64 {
    let height = |node: usize| layout.nodes.get(node).map_or(0.0, |node| node.y);
    let near: Vec<f64> =
        sides.iter().flat_map(|&side| layout.neighbours(node, side)).map(|&near| height(near)).collect();
    if near.is_empty() { height(node) } else { near.iter().sum::<f64>() / near.len() as f64 }
}

/// Nodes that stand as close together as they may.
struct Block {
    sum: f64,
    weight: f64,
    count: usize,
}

fn place(layout: &mut Layout, layer: usize, wish: impl Fn(&Layout, usize) -> f64) {
    let Some(nodes) = layout.layers.get(layer).cloned() else { return };
    let mut offsets = Vec::with_capacity(nodes.len());
    let mut offset = 0.0;
    let mut blocks: Vec<Block> = Vec::new();
    let mut before: Option<f64> = None;
    for &node in &nodes {
        let height = layout.nodes.get(node).map_or(0.0, |node| node.height);
        if let Some(before) = before {
            let gap = if before > 0.0 && height > 0.0 { GAP } else { LINE_GAP };
            offset += before / 2.0 + gap + height / 2.0;
        }
        before = Some(height);
        offsets.push(offset);
        // Lines insist on running straight more than boxes do.
        let weight = if height > 0.0 { 1.0 } else { 2.0 };
        blocks.push(Block { sum: (wish(layout, node) - offset) * weight, weight, count: 1 });
        while let [.., above, below] = blocks.as_mut_slice() {
            if above.sum / above.weight <= below.sum / below.weight {
                break;
            }
            above.sum += below.sum;
            above.weight += below.weight;
            above.count += below.count;
            blocks.pop();
        }
    }
    let bases = blocks.iter().flat_map(|block| std::iter::repeat_n(block.sum / block.weight, block.count));
    for ((&node, offset), base) in nodes.iter().zip(offsets).zip(bases) {
        if let Some(node) = layout.nodes.get_mut(node) {
            node.y = base + offset;
        }
    }
}
