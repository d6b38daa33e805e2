//! The timeline as an SVG.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use brimful::{Quotas, Tokens};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{DAY, Interval, Timeline, WIDTHS};
use crate::simulate::time::Stamp;
use crate::text;

/// Legible on white and on black.
const GREY: RGBColor = RGBColor(128, 128, 128);
/// Colours of Okabe and Ito, for all kinds of colour vision.
const ADMITTED: RGBColor = RGBColor(46, 134, 222);
const DENIED: RGBColor = RGBColor(213, 94, 0);
const LEVEL: RGBColor = RGBColor(0, 158, 115);

const SIZE: (u32, u32) = (960, 540);

/// The width of the labels left of a chart.
const LEFT: i32 = 90;

/// The most marks on the axis of time.
const MARKS: u64 = 8;

/// The file of the SVG.
pub(crate) struct File {
    path: PathBuf,
}

/// The words of a picture.
pub(crate) struct Labels {
    /// The limits.
    pub(crate) title: String,
    /// The names of the denied tokens, and of the admitted ones, or of what is counted in their place.
    pub(crate) series: [&'static str; 2],
    pub(crate) level: &'static str,
    pub(crate) level_axis: &'static str,
    /// The highest level.
    pub(crate) full: f64,
}

impl Labels {
    pub(crate) fn of(quotas: &Quotas) -> Labels {
        Labels {
            title: quotas.to_string(),
            series: ["denied", "admitted"],
            level: "level, the least of each interval",
            level_axis: "tokens there",
            // The level is the least one of all quotas.
            full: quotas.as_slice().iter().map(|quota| quota.capacity()).min().map_or(0.0, Tokens::as_f64),
        }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

impl File {
    /// Refuses a path that cannot be written, and a file that is not an SVG, such as a log. Does not
    /// change the file.
    pub(crate) fn new(path: &Path, logs: &[PathBuf]) -> anyhow::Result<File> {
        let is_log = fs::canonicalize(path)
            .is_ok_and(|path| logs.iter().any(|log| fs::canonicalize(log).is_ok_and(|log| log == path)));
        if is_log {
            bail!("--timeline: {} is one of the logs: choose another name", path.display());
        }
        if !writable(path).with_context(|| format!("--timeline: cannot write {}", path.display()))? {
            bail!("--timeline: {} exists and does not begin as an SVG: choose another name", path.display());
        }
        Ok(File { path: path.to_owned() })
    }

    pub(crate) fn write(self, timeline: &Timeline, labels: &Labels) -> io::Result<()> {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let drawn = timeline.draw(&area, labels).and_then(|()| area.present());
        drop(area);
        drawn.map_err(|error| io::Error::other(error.to_string()))?;
        // The kind of the error is dropped: if the SVG is a closed pipe, the report is not.
        let named = |error: io::Error| io::Error::other(format!("{}: {error}", self.path.display()));
        fs::write(&self.path, svg).map_err(named)
    }
}

/// Whether writing would overwrite nothing but an SVG. Returns an error if writing would fail.
fn writable(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if there.is_file() => {
            fs::OpenOptions::new().write(true).open(path)?;
            let mut head = Vec::new();
            fs::File::open(path)?.take(1_024).read_to_end(&mut head)?;
            Ok(head.is_empty() || is_svg(&head))
        }
        // Writing to a pipe or a device overwrites nothing.
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if fs::metadata(parent)?.is_dir() { Ok(true) } else { Err(io::ErrorKind::NotADirectory.into()) }
        }
        Err(error) => Err(error),
    }
}

/// Whether a file that begins with `head` is an SVG, with at most an XML declaration before it.
fn is_svg(head: &[u8]) -> bool {
    let after_declaration = head.strip_prefix(b"<?xml").and_then(|rest| {
        let end = rest.windows(2).position(|pair| pair == b"?>")?;
        Some(rest[end + 2..].trim_ascii_start())
    });
    let name_ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/');
    after_declaration.unwrap_or(head).strip_prefix(b"<svg").and_then(<[u8]>::first).is_some_and(name_ends)
}

impl Timeline {
    fn draw<'a>(&self, area: &Area<'a>, labels: &Labels) -> Drawn<'a> {
        let each = format!("tokens per {}", text::span(self.width as f64));
        let style = ("sans-serif", 18).into_font().color(&GREY);
        let area = area.titled(&format!("{each} at {}", labels.title), style)?;
        if self.intervals.iter().all(|interval| interval.level.is_none()) {
            return self.draw_requests(&area, &each, labels, true);
        }
        let (upper, lower) = area.split_vertically((60).percent_height());
        self.draw_requests(&upper, &each, labels, false)?;
        self.draw_level(&lower, labels)
    }

    /// Draws the denied tokens on top of the admitted ones.
    fn draw_requests<'a>(&self, area: &Area<'a>, each: &str, labels: &Labels, last: bool) -> Drawn<'a> {
        let asked = |interval: &Interval| interval.admitted + interval.denied;
        let most = self.intervals.iter().map(asked).fold(0.0, f64::max);
        let mut chart = self.chart(area, most, each, last)?;
        let [denied, admitted] = labels.series;
        let series =
            [(denied, DENIED, self.steps(asked)), (admitted, ADMITTED, self.steps(|interval| interval.admitted))];
        for (_, colour, steps) in &series {
            chart.draw_series(AreaSeries::new(steps.iter().copied(), 0.0, colour.filled()))?;
        }
        legend(area, &series.map(|(name, colour, _)| (name, colour)))
    }

    fn draw_level<'a>(&self, area: &Area<'a>, labels: &Labels) -> Drawn<'a> {
        let mut chart = self.chart(area, labels.full, labels.level_axis, true)?;
        let steps = self.steps(|interval| interval.level.unwrap_or(0.0));
        chart.draw_series(LineSeries::new(steps, LEVEL.stroke_width(2)))?;
        legend(area, &[(labels.level, LEVEL)])
    }

    /// Returns a value for each interval, constant from its beginning to its end.
    fn steps(&self, value: impl Fn(&Interval) -> f64) -> Vec<(f64, f64)> {
        let step = |(at, interval)| [(at, value(interval)), (at + 1.0, value(interval))];
        (0..).map(f64::from).zip(&self.intervals).flat_map(step).collect()
    }

    /// Draws the axes: across, the intervals; up, to `most`. The lowest of several charts has the
    /// times.
    fn chart<'a, 'b>(
        &self,
        area: &'b Area<'a>,
        most: f64,
        up: &str,
        lowest: bool,
    ) -> Result<Chart<'b, 'a>, DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
        let most = if most > 0.0 { most * 1.05 } else { 1.0 };
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_top(22)
            .margin_right(30)
            .x_label_area_size(if lowest { 45 } else { 0 })
            .y_label_area_size(LEFT)
            .build_cartesian_2d(self.times(), 0.0..most)?;
        let label = ("sans-serif", 14).into_font().color(&GREY);
        let amount = |value: &f64| text::amount(*value);
        let across = self.first.map_or_else(|| "time".to_owned(), |first| format!("time in UTC, from {first}"));
        let mut mesh = chart.configure_mesh();
        mesh.axis_style(GREY)
            .bold_line_style(GREY.mix(0.35))
            .light_line_style(TRANSPARENT)
            .label_style(label.clone())
            .axis_desc_style(label)
            .y_desc(up)
            .y_labels(6)
            .y_label_formatter(&amount);
        if lowest {
            mesh.x_desc(across);
        }
        mesh.draw()?;
        Ok(chart)
    }

    fn times(&self) -> Times {
        Times {
            first: self.first.unwrap_or_default(),
            width: self.width,
            intervals: self.intervals.len().max(1) as u64,
        }
    }
}

/// The axis of time, in intervals since the first request.
struct Times {
    first: Stamp,
    width: u64,
    intervals: u64,
}

impl Ranged for Times {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (left, right): (i32, i32)) -> i32 {
        left + (value / self.intervals as f64 * f64::from(right - left)) as i32
    }

    /// Returns marks at round times.
    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let span = self.width * self.intervals;
        let between = WIDTHS.iter().copied().find(|&width| span / width <= MARKS).unwrap_or(span);
        let start = self.first.next_multiple(between).since(self.first);
        (start..=span).step_by(between as usize).map(|at| at as f64 / self.width as f64).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        0.0..self.intervals as f64
    }
}

impl ValueFormatter<f64> for Times {
    /// Writes the time of day, or the day and the time if there are several days, or the date if there
    /// are many.
    fn format_ext(&self, value: &f64) -> String {
        // Rounded to the nanosecond of the mark.
        let nanos = (value * self.width as f64).round() as u64;
        self.first.plus(nanos).format(match self.width * self.intervals / DAY {
            0..2 => "%H:%M:%S%.f",
            2..300 => "%m-%d %H:%M",
            _ => "%Y-%m-%d",
        })
    }
}

type Chart<'b, 'a> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<Times, RangedCoordf64>>;

/// Draws the names of the series, side by side above their chart.
fn legend<'a>(area: &Area<'a>, names: &[(&str, RGBColor)]) -> Drawn<'a> {
    let mut left = LEFT + 10;
    for &(name, colour) in names {
        let style = ("sans-serif", 14).into_font().color(&colour);
        let (width, _) = area.estimate_text_size(name, &style)?;
        area.draw(&Rectangle::new([(left, 4), (left + 12, 16)], colour.filled()))?;
        area.draw(&Text::new(name.to_owned(), (left + 18, 2), style))?;
        left += width as i32 + 50;
    }
    Ok(())
}
