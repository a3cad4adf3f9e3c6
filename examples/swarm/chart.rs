//! Curves as SVG.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One curve.
pub(crate) struct Line {
    name: String,
    color: String,
    points: Vec<(f64, f64)>,
}

impl Line {
    pub(crate) fn new(name: &str, color: &str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), color: color.to_owned(), points }
    }
}

/// Curves over a common axis.
pub(crate) struct Chart {
    pub(crate) lines: Vec<Line>,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) from_zero: bool,
}

impl Chart {
    /// The drawing with its key. A drawing that fails leaves its reason in the page.
    pub(crate) fn figure(&self) -> Markup {
        let mut svg = String::new();
        let drawn = self.draw(&mut svg).map_err(|error| error.to_string());
        html! {
            div.key {
                @for line in &self.lines {
                    span { i style=(format!("border-color:{}", line.color)) {} (line.name) }
                }
            }
            @match drawn {
                Ok(()) => { (PreEscaped(svg)) },
                Err(error) => p { "the curves cannot be drawn: " (error) },
            }
        }
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error + '_>> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let finite =
            |values: Vec<f64>| values.into_iter().filter(|value| value.is_finite()).collect::<Vec<_>>();
        let (xs, ys) = (finite(points().map(|p| p.0).collect()), finite(points().map(|p| p.1).collect()));
        let max = |values: &[f64]| values.iter().copied().fold(f64::MIN, f64::max);
        let min = |values: &[f64]| values.iter().copied().fold(f64::MAX, f64::min);
        if xs.is_empty() || ys.is_empty() {
            return Err("there are no points".into());
        }
        let span = (max(&ys) - min(&ys)).max(1e-6);
        let low = if self.from_zero { 0.0 } else { min(&ys) - span * 0.05 };
        let high = if self.from_zero && max(&ys) > 50.0 { 100.0 } else { max(&ys) + span * 0.05 };
        let area = SVGBackend::with_string(svg, (980, 380)).into_drawing_area();
        let grey = RGBColor(91, 104, 120);
        let font = ("system-ui, DejaVu Sans, sans-serif", 14).into_font().color(&grey);
        let mut chart = ChartBuilder::on(&area)
            .margin(6)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(min(&xs)..max(&xs).max(min(&xs) + 1.0), low..high)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(RGBColor(255, 255, 255))
            .bold_line_style(RGBColor(227, 232, 238))
            .axis_style(RGBColor(170, 180, 192))
            .label_style(font.clone())
            .axis_desc_style(font.clone())
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| if high > 10.0 { format!("{y:.0}") } else { format!("{y:.2}") })
            .draw()?;
        for line in &self.lines {
            let color = hex(&line.color);
            let shown =
                line.points.iter().copied().filter(|p| p.1.is_finite()).map(|(x, y)| (x, y.min(high)));
            chart.draw_series(LineSeries::new(shown, color.stroke_width(3)))?;
            if let Some(&(x, y)) = line.points.last().filter(|p| p.1.is_finite() && line.points.len() > 2) {
                chart.draw_series([Circle::new((x, y.min(high)), 4, color.filled())])?;
                let anchor = Pos::new(HPos::Right, VPos::Bottom);
                let style = font.clone().color(&color).pos(anchor);
                if self.lines.len() <= 3 {
                    chart.draw_series([Text::new(format!("{y:.2}"), (x, y.min(high)), style)])?;
                }
            }
        }
        area.present()?;
        drop(chart);
        Ok(())
    }
}

/// A colour written as `#rrggbb`; black when it is not.
fn hex(text: &str) -> RGBColor {
    let part =
        |from: usize| text.get(from..from + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(0);
    RGBColor(part(1), part(3), part(5))
}
