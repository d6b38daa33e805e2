//! Plots, as SVG.

use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{count, figure};

/// Legible on white and on black.
const GREY: RGBColor = RGBColor(128, 128, 128);

/// Okabe and Ito's, for all kinds of eyes; without black, and with a blue that shows on it.
const COLOURS: [RGBColor; 7] = [
    RGBColor(46, 134, 222),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(150, 150, 50),
];

const CROWDED: [char; 5] = ['4', '6', '7', '8', '9'];

const SIZE: (u32, u32) = (820, 480);

/// Names stand to the right of the plot.
const NAMES: i32 = 210;

/// Somebody's points.
pub(crate) struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    colour: RGBColor,
}

/// brimful is blue and governor red in all plots; the floors are grey.
pub(crate) fn lines(lines: impl IntoIterator<Item = (String, Vec<(f64, f64)>)>) -> Vec<Line> {
    let mut others = COLOURS[2..].iter().cycle();
    let line = |(name, points): (String, Vec<(f64, f64)>)| {
        let colour = match name.as_str() {
            "brimful" | "brimful, u64" => COLOURS[0],
            "governor" | "governor, u64" => COLOURS[1],
            _ if name.starts_with("floor") || name.starts_with("the reading") => GREY,
            _ => others.next().copied().unwrap_or(GREY),
        };
        Line { name, points, colour }
    };
    lines.into_iter().map(line).filter(|line| !line.points.is_empty()).collect()
}

/// What the horizontal axis tells.
pub(crate) enum Axis<'a> {
    /// Counts, by their logarithm.
    Counts,
    /// Names for 1, 2, 3, ...
    Names(&'a [&'static str]),
}

pub(crate) fn draw(
    path: &Path,
    title: &str,
    (across, up): (&str, &str),
    lines: &[Line],
    axis: Axis<'_>,
    logarithmic: bool,
) -> io::Result<()> {
    let mut points = lines.iter().flat_map(|line| &line.points).copied().peekable();
    if points.peek().is_none() {
        return Ok(());
    }
    let (mut least, mut most) = ((f64::MAX, f64::MAX), (0.0f64, 0.0f64));
    for (x, y) in points {
        least = (least.0.min(x), least.1.min(y));
        most = (most.0.max(x), most.1.max(y));
    }
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    let sides = match axis {
        Axis::Counts => (least.0, most.0.max(least.0 * 1.01)),
        Axis::Names(names) => (0.7, names.len() as f64 + 0.3),
    };
    let heights = if logarithmic { (least.1 / 1.3, most.1 * 1.3) } else { (0.0, most.1 * 1.1) };
    // The four kinds of axes are four types.
    let x = sides.0..sides.1;
    let y = heights.0..heights.1;
    let words = Words { title, across, up, axis: &axis };
    let drawn = match (&axis, logarithmic) {
        (Axis::Counts, true) => chart(&area, x.log_scale(), y.log_scale(), &words, lines),
        (Axis::Counts, false) => chart(&area, x.log_scale(), y, &words, lines),
        (Axis::Names(_), true) => chart(&area, x, y.log_scale(), &words, lines),
        (Axis::Names(_), false) => chart(&area, x, y, &words, lines),
    };
    drawn.and_then(|()| area.present()).map_err(|error| io::Error::other(error.to_string()))
}

struct Words<'a> {
    title: &'a str,
    across: &'a str,
    up: &'a str,
    axis: &'a Axis<'a>,
}

type Svg<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn chart<'a, X, Y>(
    area: &Svg<'a>,
    x: X,
    y: Y,
    words: &Words<'_>,
    lines: &[Line],
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let text = ("sans-serif", 14).into_font().color(&GREY);
    let mut chart = ChartBuilder::on(area)
        .caption(words.title, ("sans-serif", 18).into_font().color(&GREY))
        .margin(10)
        .margin_right(NAMES)
        .x_label_area_size(45)
        .y_label_area_size(70)
        .build_cartesian_2d(x, y)?;
    let across = |value: &f64| match words.axis {
        // Others stand too close to the next decade.
        Axis::Counts => Some(count(*value as u64)).filter(|text| !text.starts_with(CROWDED)).unwrap_or_default(),
        Axis::Names(names) => {
            let whole = (value.fract().abs() < 1e-9).then_some(*value as usize);
            whole.and_then(|place| names.get(place.wrapping_sub(1))).map_or(String::new(), |name| (*name).to_owned())
        }
    };
    let mut mesh = chart.configure_mesh();
    mesh.axis_style(GREY)
        .bold_line_style(GREY.mix(0.35))
        .light_line_style(TRANSPARENT)
        .label_style(text.clone())
        .axis_desc_style(text.clone())
        .x_desc(words.across)
        .y_desc(words.up)
        .x_label_formatter(&across);
    let up = |value: &f64| if *value < 10_000.0 { figure(*value) } else { count(*value as u64) };
    mesh.y_label_formatter(&up).draw()?;
    let mut names = Vec::new();
    for line in lines {
        let style = line.colour.stroke_width(2);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style).point_size(3))?;
        if let Some(&last) = line.points.last() {
            names.push((chart.backend_coord(&last), line));
        }
    }
    // Each name beside its line's end, or below the one above it.
    names.sort_by_key(|((_, y), _)| *y);
    let mut free = 0;
    for ((x, y), line) in names {
        let y = y.max(free);
        free = y + 16;
        let anchor = Pos::new(HPos::Left, VPos::Center);
        let style = ("sans-serif", 13).into_font().color(&line.colour).pos(anchor);
        area.draw(&Text::new(line.name.clone(), (x + 10, y), style))?;
    }
    Ok(())
}
