//! Plots, as SVG, each for light and for dark pages.

use std::fmt::Display;
use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{count, figure};

/// The colours of a page.
struct Theme {
    /// The end of the file's name.
    name: &'static str,
    paper: RGBColor,
    ink: RGBColor,
    grid: RGBColor,
    floor: RGBColor,
    brimful: RGBColor,
    governor: RGBColor,
    others: [RGBColor; 6],
}

/// Okabe and Ito's colours, which suit colour-blind readers, as dark or as light as the page needs.
const THEMES: [Theme; 2] = [
    Theme {
        name: "light",
        paper: WHITE,
        ink: RGBColor(36, 41, 47),
        grid: RGBColor(216, 222, 228),
        floor: RGBColor(110, 119, 129),
        brimful: RGBColor(0, 98, 178),
        governor: RGBColor(198, 78, 0),
        others: [
            RGBColor(0, 128, 94),
            RGBColor(180, 84, 140),
            RGBColor(168, 112, 0),
            RGBColor(32, 128, 172),
            RGBColor(116, 116, 28),
            RGBColor(120, 82, 190),
        ],
    },
    Theme {
        name: "dark",
        paper: RGBColor(13, 17, 23),
        ink: RGBColor(230, 237, 243),
        grid: RGBColor(48, 54, 61),
        floor: RGBColor(139, 148, 158),
        brimful: RGBColor(88, 166, 255),
        governor: RGBColor(255, 138, 76),
        others: [
            RGBColor(46, 200, 158),
            RGBColor(230, 150, 196),
            RGBColor(240, 184, 60),
            RGBColor(120, 206, 240),
            RGBColor(200, 200, 96),
            RGBColor(186, 158, 248),
        ],
    },
];

impl Theme {
    /// Returns a colour for each name. The colours of brimful, governor and the floors are the same
    /// in all plots.
    fn colours<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<RGBColor> {
        let mut others = self.others.iter().cycle();
        let colour = |name: &str| match name {
            "brimful" | "brimful-sip" | "brimful-ahash" | "brimful-sip, u64" => self.brimful,
            "governor" | "governor-sip" | "governor-ahash" | "governor-sip, u64" => self.governor,
            _ if name.starts_with("floor") || name.starts_with("the reading") => self.floor,
            _ => others.next().copied().unwrap_or(self.ink),
        };
        names.map(colour).collect()
    }
}

const CROWDED: [char; 5] = ['4', '6', '7', '8', '9'];

const WIDTH: u32 = 900;

const HEIGHT: u32 = 500;

/// The width of the names, which stand to the right of the lines and to the left of the bars.
const NAMES: i32 = 240;

const FONT: &str = "sans-serif";

/// The points of a contender.
pub(crate) struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

pub(crate) fn lines(lines: impl IntoIterator<Item = (String, Vec<(f64, f64)>)>) -> Vec<Line> {
    let lines = lines.into_iter().map(|(name, points)| Line { name, points });
    lines.filter(|line| !line.points.is_empty()).collect()
}

/// The horizontal axis.
pub(crate) enum Axis<'a> {
    /// Counts, on a logarithmic scale.
    Counts,
    /// Names for 1, 2, 3, ...
    Names(&'a [&'static str]),
}

/// The texts of a plot.
pub(crate) struct Words<'a> {
    pub(crate) title: &'a str,
    /// The labels of the axes, with their units.
    pub(crate) across: &'a str,
    pub(crate) up: &'a str,
}

type Svg<'a> = DrawingArea<SVGBackend<'a>, Shift>;

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// Draws `name-light.svg` and `name-dark.svg`.
fn on_all_pages(
    folder: &Path,
    name: &str,
    height: u32,
    draw: impl for<'a> Fn(&Svg<'a>, &Theme) -> Drawn<'a>,
) -> io::Result<()> {
    for theme in &THEMES {
        let path = folder.join(format!("{name}-{}.svg", theme.name));
        let area = SVGBackend::new(&path, (WIDTH, height)).into_drawing_area();
        let drawn = area.fill(&theme.paper).and_then(|()| draw(&area, theme)).and_then(|()| area.present());
        drawn.map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn failed(error: &impl Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Draws a line for each contender.
pub(crate) fn draw_lines(
    folder: &Path,
    name: &str,
    words: &Words<'_>,
    lines: &[Line],
    axis: &Axis<'_>,
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
    let sides = match axis {
        Axis::Counts => (least.0, most.0.max(least.0 * 1.01)),
        Axis::Names(names) => (0.7, names.len() as f64 + 0.3),
    };
    let heights = if logarithmic { (least.1 / 1.3, most.1 * 1.3) } else { (0.0, most.1 * 1.1) };
    on_all_pages(folder, name, HEIGHT, |area, theme| {
        // The four combinations of axes have four types.
        let x = sides.0..sides.1;
        let y = heights.0..heights.1;
        match (axis, logarithmic) {
            (Axis::Counts, true) => chart(area, theme, x.log_scale(), y.log_scale(), words, axis, lines),
            (Axis::Counts, false) => chart(area, theme, x.log_scale(), y, words, axis, lines),
            (Axis::Names(_), true) => chart(area, theme, x, y.log_scale(), words, axis, lines),
            (Axis::Names(_), false) => chart(area, theme, x, y, words, axis, lines),
        }
    })
}

fn chart<'a, X, Y>(
    area: &Svg<'a>,
    theme: &Theme,
    x: X,
    y: Y,
    words: &Words<'_>,
    axis: &Axis<'_>,
    lines: &[Line],
) -> Drawn<'a>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let text = (FONT, 18).into_font().color(&theme.ink);
    let mut chart = ChartBuilder::on(area)
        .caption(words.title, (FONT, 23).into_font().color(&theme.ink))
        .margin(12)
        .margin_right(NAMES)
        .x_label_area_size(54)
        .y_label_area_size(84)
        .build_cartesian_2d(x, y)?;
    let across = |value: &f64| match axis {
        // Labels that begin with these digits stand too close to the next decade.
        Axis::Counts => Some(count(*value as u64)).filter(|text| !text.starts_with(CROWDED)).unwrap_or_default(),
        Axis::Names(names) => {
            let whole = (value.fract().abs() < 1e-9).then_some(*value as usize);
            whole.and_then(|place| names.get(place.wrapping_sub(1))).map_or(String::new(), |name| (*name).to_owned())
        }
    };
    let up = |value: &f64| if *value < 10_000.0 { figure(*value) } else { count(*value as u64) };
    chart
        .configure_mesh()
        .axis_style(theme.floor)
        .bold_line_style(theme.grid)
        .light_line_style(TRANSPARENT)
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_desc(words.across)
        .y_desc(words.up)
        .x_label_formatter(&across)
        .y_label_formatter(&up)
        .draw()?;
    let mut names = Vec::new();
    let colours = theme.colours(lines.iter().map(|line| line.name.as_str()));
    for (line, colour) in lines.iter().zip(colours) {
        chart.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)).point_size(3))?;
        if let Some(&last) = line.points.last() {
            names.push((chart.backend_coord(&last), line, colour));
        }
    }
    // Each name stands beside the end of its line, or below the name above it.
    names.sort_by_key(|((_, y), ..)| *y);
    let mut free = 0;
    for ((x, y), line, colour) in names {
        let y = y.max(free);
        free = y + 19;
        let style = (FONT, 17).into_font().color(&colour).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(line.name.clone(), (x + 10, y), style))?;
    }
    Ok(())
}

const BAR: i32 = 30;

const TITLE: i32 = 48;

const BELOW: i32 = 40;

/// Draws a horizontal bar for each contender, with its figure. `across` is the unit.
pub(crate) fn draw_bars(folder: &Path, name: &str, title: &str, across: &str, bars: &[(&str, f64)]) -> io::Result<()> {
    let most = bars.iter().map(|&(_, value)| value).fold(0.0, f64::max);
    if most <= 0.0 {
        return Ok(());
    }
    let bottom = TITLE + BAR * bars.len() as i32;
    on_all_pages(folder, name, (bottom + BELOW) as u32, |area, theme| {
        let text = |size: i32, colour: &RGBColor, side: HPos| {
            (FONT, size).into_font().color(colour).pos(Pos::new(side, VPos::Center))
        };
        let middle = WIDTH as i32 / 2;
        area.draw(&Text::new(title.to_owned(), (middle, TITLE / 2), text(23, &theme.ink, HPos::Center)))?;
        area.draw(&Text::new(across.to_owned(), (middle, bottom + BELOW / 2), text(18, &theme.ink, HPos::Center)))?;
        let colours = theme.colours(bars.iter().map(|&(name, _)| name));
        // The width that is left beside the figure of the longest bar.
        let room = f64::from(WIDTH as i32 - NAMES - 90);
        for ((place, &(name, value)), colour) in (0..).zip(bars).zip(colours) {
            let (top, end) = (TITLE + BAR * place, NAMES + (value / most * room) as i32);
            area.draw(&Rectangle::new([(NAMES, top + 4), (end, top + BAR - 4)], colour.filled()))?;
            let centre = top + BAR / 2;
            area.draw(&Text::new(name.to_owned(), (NAMES - 10, centre), text(18, &theme.ink, HPos::Right)))?;
            area.draw(&Text::new(figure(value), (end + 8, centre), text(18, &theme.ink, HPos::Left)))?;
        }
        Ok(())
    })
}
