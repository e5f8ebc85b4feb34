//! The chart: CPU time for each request as bars, smallest to largest round as a line across their ends.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::Report;
use crate::stats::Spread;

const WIDTH: i32 = 1000;
const BAR: i32 = 20;
const PITCH: i32 = 30;
const TOP: i32 = 50;
/// Where the bars begin; the labels stand before.
const LEFT: i32 = 400;
/// How long the longest is.
const LENGTH: i32 = 480;

const OURS: RGBColor = RGBColor(31, 95, 139);
const OTHERS: RGBColor = RGBColor(150, 150, 150);

/// Draws the rows that were measured.
pub(crate) fn draw(report: &Report, file: &Path) -> anyhow::Result<()> {
    let rows = report.rows.iter().filter_map(|outcome| Some((outcome.row, outcome.summary?.cpu_us)));
    let rows: Vec<_> = rows.collect();
    let height = TOP + PITCH * i32::try_from(rows.len())? + 20;
    let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
    let area = SVGBackend::new(file, size).into_drawing_area();
    let text = |points: f64| ("sans-serif", points).into_font().color(&BLACK);
    area.fill(&WHITE)?;
    area.draw_text("CPU time of the Envoy process for each request, µs", &text(17.0), (20, 15))?;

    let scale = scale(rows.iter().map(|(_, cpu)| cpu.median));
    for (number, (row, cpu)) in (0..).zip(&rows) {
        let top = TOP + PITCH * number;
        let middle = top + BAR / 2;
        let place = |value: f64| LEFT + pixels(value, scale);
        let colour = if row.key.starts_with("native") || !row.setup.judges() { OTHERS } else { OURS };
        let label = text(13.0).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw_text(row.label, &label, (LEFT - 10, middle))?;
        area.draw(&Rectangle::new([(LEFT, top), (place(cpu.median), top + BAR)], colour.filled()))?;
        area.draw(&PathElement::new(
            [(place(cpu.min), middle), (place(cpu.max), middle)],
            BLACK.stroke_width(2),
        ))?;
        let off = if cpu.median > scale { " (off the scale)" } else { "" };
        let figure = text(13.0).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(&format!("{:.1}{off}", cpu.median), &figure, (place(cpu.max) + 8, middle))?;
    }
    area.present()?;
    Ok(())
}

/// What the longest bar stands for. Cryptography without the host's help takes many times as long as anything else: it may leave
/// nothing to see of the rest, so what is far above the median is cut off.
fn scale(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let usual = Spread::of(values.clone()).map_or(1.0, |spread| spread.median * 8.0);
    values.filter(|value| *value <= usual).fold(1.0, f64::max)
}

#[expect(clippy::cast_possible_truncation, reason = "it is within the picture")]
fn pixels(value: f64, scale: f64) -> i32 {
    (value.min(scale) / scale * f64::from(LENGTH)).round() as i32
}
