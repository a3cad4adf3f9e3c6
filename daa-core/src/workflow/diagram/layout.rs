//! Where boxes and lines go: a layered drawing, after Sugiyama, Tagawa and Toda (1981).
//!
//! Every step is in the layer behind all that it waits for. A line that crosses layers has a place of its own in each
//! of them, so that no line runs through a box. Lines that follow from others are left out.

mod crossing;
mod spacing;

use super::super::definition::Graph;

/// The most places for lines that cross layers. Beyond it, lines are left out, and the picture says so.
const MAX_BENDS: usize = 20_000;
/// The most lines.
const MAX_LINES: usize = 5_000;

/// A drawing: what is in each layer, from top to bottom, and how high it stands.
#[derive(Debug)]
pub(super) struct Layout {
    /// Boxes first, at the index of their step; then bends.
    pub(super) nodes: Vec<Node>,
    /// From top to bottom, by layer.
    pub(super) layers: Vec<Vec<usize>>,
    /// Boxes and the bends between them.
    pub(super) lines: Vec<Vec<usize>>,
    /// How many lines are not drawn.
    pub(super) left_out: usize,
}

/// A box, or the bend of a line.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) layer: usize,
    pub(super) height: f64,
    /// Of its middle.
    pub(super) y: f64,
    before: Vec<usize>,
    behind: Vec<usize>,
}

impl Layout {
    /// Arranges steps with boxes of these heights.
    pub(super) fn new(graph: &Graph, heights: &[f64]) -> Self {
        let layer_of = layers(graph);
        let node = |(&layer, &height): (&usize, &f64)| Node {
            layer,
            height,
            y: 0.0,
            before: Vec::new(),
            behind: Vec::new(),
        };
        let nodes: Vec<Node> = layer_of.iter().zip(heights).map(node).collect();
        let count = layer_of.iter().max().map_or(0, |last| last + 1);
        let mut layout = Self { nodes, layers: vec![Vec::new(); count], lines: Vec::new(), left_out: 0 };
        for (at, &layer) in layer_of.iter().enumerate() {
            layout.enter(at, layer);
        }
        layout.connect(graph);
        crossing::reduce(&mut layout);
        spacing::settle(&mut layout);
        layout
    }

    fn enter(&mut self, node: usize, layer: usize) {
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.push(node);
        }
    }

    fn connect(&mut self, graph: &Graph) {
        for (at, needs) in graph.essential().into_iter().enumerate() {
            for needed in needs {
                let layers = (self.layer(needed), self.layer(at));
                let bends = layers.1.saturating_sub(layers.0 + 1);
                let room = self.lines.len() < MAX_LINES && self.nodes.len() + bends <= MAX_BENDS;
                // A line to an earlier layer belongs to a cycle, which the check refuses.
                if layers.0 < layers.1 && room {
                    self.line(needed, at);
                } else {
                    self.left_out += 1;
                }
            }
        }
    }

    fn line(&mut self, from: usize, to: usize) {
        let mut line = vec![from];
        for layer in self.layer(from) + 1..self.layer(to) {
            let bend = self.nodes.len();
            self.nodes.push(Node { layer, height: 0.0, y: 0.0, before: Vec::new(), behind: Vec::new() });
            self.enter(bend, layer);
            line.push(bend);
        }
        line.push(to);
        for (&from, &to) in line.iter().zip(line.iter().skip(1)) {
            if let Some(node) = self.nodes.get_mut(from) {
                node.behind.push(to);
            }
            if let Some(node) = self.nodes.get_mut(to) {
                node.before.push(from);
            }
        }
        self.lines.push(line);
    }

    pub(super) fn layer(&self, node: usize) -> usize {
        self.nodes.get(node).map_or(0, |node| node.layer)
    }

    fn neighbours(&self, node: usize, side: Side) -> &[usize] {
        let node = self.nodes.get(node);
        node.map_or(&[], |node| if side == Side::Before { &node.before } else { &node.behind })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    Behind,
}

/// One more than the last layer of what a step waits for.
fn layers(graph: &Graph) -> Vec<usize> {
    let mut layers = vec![0; graph.needs.len()];
    for at in graph.order(&[]) {
        let needs = graph.needs.get(at).into_iter().flatten();
        let layer = needs.filter_map(|&needed| layers.get(needed)).max().map_or(0, |last| last + 1);
        if let Some(slot) = layers.get_mut(at) {
            *slot = layer;
        }
    }
    layers
}
