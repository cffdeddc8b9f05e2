//! Plots as SVG.

#[cfg(test)]
mod tests;

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::charts::{Chart, Shape};
use crate::goals::number;

const WIDTH: u32 = 1000;
/// Letters of the longest name beside a plot.
const LONGEST: usize = 44;
const FONT: &str = "system-ui, Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(0x2b, 0x2f, 0x36);
const FAINT: RGBColor = RGBColor(0x6b, 0x72, 0x80);
const GRID: RGBColor = RGBColor(0xe5, 0xe7, 0xeb);
/// Told apart by those who do not see red and green as others do.
const SERIES: [RGBColor; 6] = [
    RGBColor(0x1f, 0x6f, 0xb4),
    RGBColor(0xf2, 0xa1, 0x3c),
    RGBColor(0x2a, 0x9d, 0x8f),
    RGBColor(0x9b, 0x5d, 0xc4),
    RGBColor(0xc9, 0x4f, 0x4f),
    RGBColor(0x7a, 0x7f, 0x87),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws a chart.
///
/// # Errors
///
/// If the library cannot.
pub(crate) fn draw(chart: &Chart) -> Result<String, String> {
    let mut svg = String::new();
    let height = match &chart.shape {
        Shape::Bars {
            categories, series, ..
        } => 70 + categories.len() as u32 * bar_slot(series.len()),
        Shape::Lines { .. } => 380,
        Shape::Heat { lines, .. } => 60 + lines.len() as u32 * 42,
    };
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE).map_err(text)?;
        match &chart.shape {
            Shape::Bars {
                categories,
                series,
                unit,
                log,
            } => bars(&root, categories, series, unit, *log)?,
            Shape::Lines { series, x, y } => lines(&root, series, x, y)?,
            Shape::Heat {
                columns,
                lines,
                figures,
                axes,
                unit,
            } => heat(&root, (columns, lines), figures, axes, unit)?,
        }
        root.present().map_err(text)?;
    }
    Ok(svg)
}

fn text(error: impl std::fmt::Display) -> String {
    format!("a plot: {error}")
}

/// The height that a category takes.
fn bar_slot(series: usize) -> u32 {
    12 + 15 * series as u32
}

/// The width of names beside a plot.
fn room_for(names: &[String]) -> i32 {
    let longest = names.iter().map(|name| name.chars().count()).max();
    (longest.unwrap_or(0).min(LONGEST) as i32 * 8 + 16).max(80)
}

/// A name, cut off where there is no room for the rest; the table beside has all of it.
fn short(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

fn font(size: u32, color: RGBColor, (h, v): (HPos, VPos)) -> TextStyle<'static> {
    // The library makes letters smaller than it says.
    let style = TextStyle::from((FONT, size * 6 / 5).into_font());
    TextStyle {
        color: color.to_backend_color(),
        ..style
    }
    .pos(Pos::new(h, v))
}

/// Squares with the names of the series, from the left.
fn legend(root: &Area<'_>, names: impl Iterator<Item = String>, left: i32) -> Result<(), String> {
    let mut at = left;
    for (name, color) in names.zip(SERIES) {
        root.draw(&Rectangle::new([(at, 8), (at + 12, 20)], color.filled()))
            .map_err(text)?;
        root.draw_text(&name, &font(13, INK, (HPos::Left, VPos::Center)), (at + 18, 14))
            .map_err(text)?;
        at += 18 + 24 + (name.chars().count() as i32) * 7;
    }
    Ok(())
}

fn bars(
    root: &Area<'_>,
    categories: &[String],
    series: &[(String, Vec<Option<f64>>)],
    unit: &str,
    log: bool,
) -> Result<(), String> {
    let figures = || series.iter().flat_map(|(_, figures)| figures).flatten().copied();
    let most = figures().fold(0.0, f64::max).max(1e-9);
    // What is written behind the longest bar needs room.
    if log {
        let least = figures().filter(|it| *it > 0.0).fold(most, f64::min);
        // A little less, or rounding may leave the first label out.
        let bottom = 10_f64.powf(least.log10().floor()) * (1.0 - 1e-9);
        let top = bottom.max(most) * (most / bottom).powf(0.14).max(2.0);
        bars_over(root, categories, series, unit, (bottom..top).log_scale(), bottom)
    } else {
        bars_over(root, categories, series, unit, 0.0..most * 1.14, 0.0)
    }
}

fn bars_over<X>(
    root: &Area<'_>,
    categories: &[String],
    series: &[(String, Vec<Option<f64>>)],
    unit: &str,
    range: X,
    bottom: f64,
) -> Result<(), String>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let left = room_for(categories);
    legend(root, series.iter().map(|(name, _)| name.clone()), left)?;
    let mut chart = ChartBuilder::on(root)
        .margin_top(28)
        .margin_right(14)
        .set_label_area_size(LabelAreaPosition::Left, left)
        .set_label_area_size(LabelAreaPosition::Bottom, 40)
        .build_cartesian_2d(range, 0.0..categories.len() as f64)
        .map_err(text)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_labels(8)
        .x_label_formatter(&|value| number(*value))
        .x_label_style(font(12, FAINT, (HPos::Center, VPos::Top)))
        .x_desc(unit)
        .axis_desc_style(font(12, FAINT, (HPos::Center, VPos::Center)))
        .draw()
        .map_err(text)?;
    let slot = 1.0 / (series.len() as f64 + 0.8);
    let pixel = |x: f64, y: f64| chart.plotting_area().map_coordinate(&(x, y));
    for (index, category) in categories.iter().enumerate() {
        let top = (categories.len() - index) as f64 - 0.4 * slot;
        let (x, y) = pixel(bottom, top - slot * series.len() as f64 / 2.0);
        root.draw_text(
            &short(category),
            &font(13, INK, (HPos::Right, VPos::Center)),
            (x - 8, y),
        )
        .map_err(text)?;
        for (place, ((_, figures), color)) in series.iter().zip(SERIES).enumerate() {
            let Some(figure) = figures[index] else {
                continue;
            };
            let upper = top - slot * place as f64;
            let from = pixel(bottom, upper);
            let to = pixel(figure.max(bottom), upper - slot);
            let bar = Rectangle::new(
                [(from.0, from.1 + 1), (to.0.max(from.0 + 1), to.1 - 1)],
                color.filled(),
            );
            root.draw(&bar).map_err(text)?;
            let middle = i32::midpoint(from.1, to.1);
            let style = font(12, FAINT, (HPos::Left, VPos::Center));
            root.draw_text(&number(figure), &style, (to.0.max(from.0 + 1) + 5, middle))
                .map_err(text)?;
        }
    }
    Ok(())
}

fn lines(root: &Area<'_>, series: &[(String, Vec<(f64, f64)>)], x: &str, y: &str) -> Result<(), String> {
    let points = || series.iter().flat_map(|(_, points)| points).copied();
    let (least, most) = points().fold((f64::MAX, 1.0), |(least, most), (x, _)| {
        (f64::min(least, x), f64::max(most, x))
    });
    let highest = points().map(|(_, y)| y).fold(0.0, f64::max).max(1e-9) * 1.1;
    legend(root, series.iter().map(|(name, _)| name.clone()), 70)?;
    let mut chart = ChartBuilder::on(root)
        .margin_top(30)
        .margin_right(24)
        .set_label_area_size(LabelAreaPosition::Left, 66)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d(
            (least.min(most) * 0.9..(most * 1.1).max(least * 1.2)).log_scale(),
            0.0..highest,
        )
        .map_err(text)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .label_style(font(12, FAINT, (HPos::Center, VPos::Center)))
        .axis_desc_style(font(13, INK, (HPos::Center, VPos::Center)))
        .draw()
        .map_err(text)?;
    for ((_, points), color) in series.iter().zip(SERIES) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))
            .map_err(text)?;
        chart
            .draw_series(points.iter().map(|point| Circle::new(*point, 4, color.filled())))
            .map_err(text)?;
    }
    Ok(())
}

fn heat(
    root: &Area<'_>,
    (columns, lines): (&[String], &[String]),
    figures: &[Vec<Option<f64>>],
    (right, down): &(&str, &str),
    unit: &str,
) -> Result<(), String> {
    let (left, top, height) = (room_for(lines), 52, 42);
    let width = (WIDTH as i32 - left - 14) / columns.len().max(1) as i32;
    let all = || figures.iter().flatten().flatten().copied().filter(|it| *it > 0.0);
    let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    let style = |size, color, anchor| font(size, color, anchor);
    let middle = (HPos::Center, VPos::Center);
    let axis = format!("{right} →   {down} ↓   figures in {unit}");
    root.draw_text(&axis, &style(12, FAINT, (HPos::Left, VPos::Center)), (left, 12))
        .map_err(text)?;
    for (at, name) in columns.iter().enumerate() {
        let x = left + at as i32 * width + width / 2;
        root.draw_text(name, &style(13, INK, middle), (x, top - 14))
            .map_err(text)?;
    }
    for (line, name) in lines.iter().enumerate() {
        let y = top + line as i32 * height;
        let beside = (HPos::Right, VPos::Center);
        root.draw_text(&short(name), &style(13, INK, beside), (left - 10, y + height / 2))
            .map_err(text)?;
        for (at, figure) in figures[line].iter().enumerate() {
            let x = left + at as i32 * width;
            let cell = [(x + 1, y + 1), (x + width - 1, y + height - 1)];
            let (fill, ink) = match figure {
                None => (RGBColor(0xf3, 0xf4, 0xf6), FAINT),
                Some(figure) => shade(*figure, least, most),
            };
            root.draw(&Rectangle::new(cell, fill.filled())).map_err(text)?;
            let said = figure.map_or("–".to_owned(), number);
            root.draw_text(&said, &style(13, ink, middle), (x + width / 2, y + height / 2))
                .map_err(text)?;
        }
    }
    Ok(())
}

/// Light for little, dark for much, by the logarithm; and an ink that can be read on it.
fn shade(figure: f64, least: f64, most: f64) -> (RGBColor, RGBColor) {
    let span = (most / least).ln();
    let part = if span > 0.0 {
        ((figure.max(least) / least).ln() / span).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * part) as u8;
    let fill = RGBColor(mix(0xe8, 0x12), mix(0xf1, 0x3c), mix(0xfa, 0x69));
    (fill, if part > 0.5 { WHITE } else { INK })
}
