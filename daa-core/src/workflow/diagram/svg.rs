//! SVG documents.

use std::fmt::Write as _;

use super::super::definition::{Graph, Step, StepKind};
use super::layout::Layout;
use super::{Diagram, StepMark, words};

const MARGIN: f64 = 28.0;
const TITLE: f64 = 46.0;
/// Between two layers.
const BETWEEN: f64 = 64.0;
const HEIGHT: f64 = 54.0;
const BADGES: f64 = 24.0;
const PADDING: f64 = 18.0;
const NARROWEST: f64 = 132.0;
const FONT: &str = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";

pub(super) fn render(diagram: &Diagram<'_>) -> String {
    let boxes: Vec<Card<'_>> = diagram.steps().iter().map(|step| Card::new(diagram, step)).collect();
    let heights: Vec<f64> = boxes.iter().map(Card::height).collect();
    let layout = Layout::new(&Graph::new(diagram.steps()), &heights);
    Picture::new(diagram, &boxes, layout).draw()
}

/// What is drawn of a step.
struct Card<'d> {
    step: &'d Step,
    mark: Option<StepMark>,
    name: String,
    kind: String,
    notes: Vec<(&'static str, String)>,
    badges: Vec<&'static str>,
}

impl<'d> Card<'d> {
    fn new(diagram: &Diagram<'d>, step: &'d Step) -> Self {
        let (name, kind) = (words::short(step.name.as_str()), words::kind(step));
        let notes = words::notes(step);
        let waits = match step.kind {
            StepKind::Approval(_) => Some("approval"),
            StepKind::Sleep(_) | StepKind::Until(_) => Some("timer"),
            StepKind::Action(_) | StepKind::Signal(_) | StepKind::Workflow(_) => None,
        };
        let badges = waits.into_iter().chain(notes.iter().map(|(word, _)| *word)).collect();
        Self { step, mark: diagram.mark(step), name, kind, notes, badges }
    }

    fn height(&self) -> f64 {
        if self.badges.is_empty() { HEIGHT } else { HEIGHT + BADGES }
    }

    fn width(&self) -> f64 {
        let badges: f64 = self.badges.iter().map(|word| badge_width(word) + 6.0).sum();
        let name = wide(&self.name, 14.5) * 1.06 + if self.mark.is_some() { 20.0 } else { 0.0 };
        name.max(wide(&self.kind, 12.0)).max(badges) + 2.0 * PADDING
    }

    /// The colour of what the step does.
    const fn colour(&self) -> &'static str {
        match self.step.kind {
            StepKind::Action(_) => "#4f46e5",
            StepKind::Sleep(_) | StepKind::Until(_) => "#d97706",
            StepKind::Signal(_) => "#0d9488",
            StepKind::Approval(_) => "#db2777",
            StepKind::Workflow(_) => "#7c3aed",
        }
    }
}

fn badge_width(word: &str) -> f64 {
    wide(word, 10.5) + 14.0
}

/// About how wide a text is; fonts differ, so rather too much.
fn wide(text: &str, size: f64) -> f64 {
    let em = |char: char| match char {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' => 0.32,
        'f' | 'r' | 't' | '-' | '(' | ')' | '[' | ']' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.92,
        'A'..='Z' => 0.72,
        _ if char.is_ascii() => 0.6,
        _ => 1.0,
    };
    text.chars().map(em).sum::<f64>() * size
}

struct Picture<'d> {
    diagram: &'d Diagram<'d>,
    boxes: &'d [Card<'d>],
    layout: Layout,
    /// Where each layer begins, and how wide it is.
    columns: Vec<(f64, f64)>,
    width: f64,
    height: f64,
    /// What is added to heights of the layout.
    down: f64,
    text: String,
}

impl<'d> Picture<'d> {
    fn new(diagram: &'d Diagram<'d>, boxes: &'d [Card<'d>], layout: Layout) -> Self {
        let mut columns = Vec::with_capacity(layout.layers.len());
        let mut x = MARGIN;
        for layer in &layout.layers {
            let cards = layer.iter().filter_map(|&node| boxes.get(node));
            let width = cards.map(Card::width).fold(NARROWEST, f64::max).ceil();
            columns.push((x, width));
            x += width + BETWEEN;
        }
        let edges = layout.nodes.iter().map(|node| (node.y - node.height / 2.0, node.y + node.height / 2.0));
        let (top, bottom) = edges.fold((f64::INFINITY, f64::NEG_INFINITY), |(top, bottom), (from, to)| {
            (top.min(from), bottom.max(to))
        });
        let (top, bottom) = if layout.nodes.is_empty() { (0.0, 0.0) } else { (top, bottom) };
        let about = wide(&words::shortened(&diagram.workflow.about, 90), 12.5);
        let title = wide(&words::shortened(diagram.workflow.name.as_str(), 60), 18.0) * 1.06;
        let width = (x - BETWEEN + MARGIN).max(title + about + 3.0 * MARGIN).ceil();
        let down = MARGIN + TITLE - top;
        let height = (bottom + down + MARGIN).ceil();
        Self { diagram, boxes, layout, columns, width, height, down, text: String::new() }
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{arguments}");
    }

    fn draw(mut self) -> String {
        let (width, height) = (self.width, self.height);
        let name = words::shortened(self.diagram.workflow.name.as_str(), 60);
        self.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"{FONT}\" role=\"img\">"
        ));
        self.put(format_args!("<title>Workflow {}</title>", escaped(&name)));
        self.put(format_args!(
            "<rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"14\" fill=\"#f8fafc\" stroke=\"#e2e8f0\"/>",
            width - 1.0,
            height - 1.0
        ));
        self.title(&name);
        for line in std::mem::take(&mut self.layout.lines) {
            self.line(&line);
        }
        for at in 0..self.boxes.len() {
            self.card(at);
        }
        self.put(format_args!("</svg>"));
        self.text
    }

    fn title(&mut self, name: &str) {
        let y = MARGIN + 14.0;
        let about = words::shortened(&self.diagram.workflow.about, 90);
        let hidden = self.diagram.workflow.steps.len() - self.boxes.len();
        let more = match (hidden, self.layout.left_out) {
            (0, 0) => String::new(),
            (steps, lines) => format!(" ({steps} steps and {lines} dependencies are not drawn)"),
        };
        self.put(format_args!(
            "<text x=\"{MARGIN}\" y=\"{y}\" font-size=\"18\" font-weight=\"600\" fill=\"#0f172a\">{}\
             <tspan dx=\"12\" font-size=\"12.5\" font-weight=\"400\" fill=\"#64748b\">{}{more}</tspan></text>",
            escaped(name),
            escaped(&about)
        ));
    }

    /// The column of a node, and its height.
    fn spot(&self, node: usize) -> (f64, f64, f64) {
        let (x, width) = self.columns.get(self.layout.layer(node)).copied().unwrap_or_default();
        let y = self.layout.nodes.get(node).map_or(0.0, |node| node.y) + self.down;
        (x, x + width, y)
    }

    fn line(&mut self, nodes: &[usize]) {
        let mut path = String::new();
        let mut from: Option<(f64, f64)> = None;
        for &node in nodes {
            let (left, right, y) = self.spot(node);
            let last = nodes.last() == Some(&node);
            if let Some((x, before)) = from {
                // The head of the arrow takes the last of the way.
                let end = if last { left - 7.0 } else { left };
                let half = (end - x) / 2.0;
                let curve = format!("C{:.1} {before:.1} {:.1} {y:.1} {end:.1} {y:.1}", x + half, end - half);
                path.push_str(&curve);
                if !last {
                    path.push_str(&format!("H{right:.1}"));
                }
            } else {
                path.push_str(&format!("M{right:.1} {y:.1}"));
            }
            from = Some((right, y));
        }
        self.put(format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"#94a3b8\" stroke-width=\"1.6\"/>"));
        if let Some(&node) = nodes.last() {
            let (left, _, y) = self.spot(node);
            self.put(format_args!("<path d=\"M{:.1} {y:.1}l-8 -4.5v9z\" fill=\"#94a3b8\"/>", left - 1.0));
        }
    }

    fn card(&mut self, at: usize) {
        let Some(card) = self.boxes.get(at) else { return };
        let (x, right, middle) = self.spot(at);
        let (width, height) = (right - x, card.height());
        let y = middle - height / 2.0;
        let (fill, stroke) = card.mark.map_or(("#ffffff", "#cbd5e1"), StepMark::colours);
        let dashes = match card.mark {
            Some(StepMark::Skipped | StepMark::Undone) => " stroke-dasharray=\"5 4\"",
            _ => "",
        };
        let thick = if card.mark.is_some() { 1.8 } else { 1.2 };
        self.put(format_args!("<g transform=\"translate({x:.1} {y:.1})\">"));
        self.put(format_args!("<title>{}</title>", escaped(&tip(card))));
        self.put(format_args!(
            "<rect width=\"{width}\" height=\"{height}\" rx=\"10\" fill=\"{fill}\" stroke=\"{stroke}\" \
             stroke-width=\"{thick}\"{dashes}/>"
        ));
        self.put(format_args!(
            "<rect x=\"7\" y=\"10\" width=\"3.5\" height=\"{}\" rx=\"1.75\" fill=\"{}\"/>",
            height - 20.0,
            card.colour()
        ));
        self.put(format_args!(
            "<text x=\"{PADDING}\" y=\"24\" font-size=\"14.5\" font-weight=\"600\" fill=\"#0f172a\">{}</text>",
            escaped(&card.name)
        ));
        self.put(format_args!(
            "<text x=\"{PADDING}\" y=\"42\" font-size=\"12\" fill=\"#64748b\">{}</text>",
            escaped(&card.kind)
        ));
        self.badges(card);
        if let Some(mark) = card.mark {
            self.sign(mark, width - 17.0);
        }
        self.put(format_args!("</g>"));
    }

    fn badges(&mut self, card: &Card<'_>) {
        let mut x = PADDING;
        for word in &card.badges {
            let width = badge_width(word);
            let (fill, ink) = match *word {
                "undo" => ("#ede9fe", "#5b21b6"),
                "approval" => ("#fce7f3", "#9d174d"),
                "when" | "timer" => ("#fef3c7", "#92400e"),
                "may fail" => ("#ffe4e6", "#9f1239"),
                _ => ("#e0f2fe", "#075985"),
            };
            self.put(format_args!(
                "<rect x=\"{x:.1}\" y=\"51\" width=\"{width:.1}\" height=\"17\" rx=\"8.5\" fill=\"{fill}\"/>\
                 <text x=\"{:.1}\" y=\"63\" font-size=\"10.5\" text-anchor=\"middle\" fill=\"{ink}\">{word}</text>",
                x + width / 2.0
            ));
            x += width + 6.0;
        }
    }

    /// A sign for how far the step is, for those who do not see the colour.
    fn sign(&mut self, mark: StepMark, x: f64) {
        let (_, stroke) = mark.colours();
        let shape = match mark {
            StepMark::Waiting => "M-2.5 0h0M0 0h0M2.5 0h0",
            StepMark::Running => "M0 -3.2V0L2.2 2.2",
            StepMark::Succeeded => "M-3 0.2L-0.8 2.4L3 -2.2",
            StepMark::Skipped => "M-3 0H3",
            StepMark::Failed => "M-2.4 -2.4L2.4 2.4M2.4 -2.4L-2.4 2.4",
            StepMark::Undone => "M-3 0L0 -3M-3 0L0 3M-3 0H3",
        };
        self.put(format_args!(
            "<g transform=\"translate({x:.1} 19)\" fill=\"none\" stroke-linecap=\"round\"><circle r=\"7\" fill=\"{stroke}\"/>\
             <path d=\"{shape}\" stroke=\"#ffffff\" stroke-width=\"1.6\"/></g>"
        ));
    }
}

/// All that is known of a step, for those who point at it.
fn tip(card: &Card<'_>) -> String {
    let mut tip = format!("{}: {}", card.name, card.kind);
    for (word, more) in &card.notes {
        let space = if more.is_empty() { "" } else { " " };
        tip.push_str(&format!("; {word}{space}{more}"));
    }
    if let Some(mark) = card.mark {
        tip.push_str(&format!("; {}", mark.word()));
    }
    tip
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // No XML document may have these.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
