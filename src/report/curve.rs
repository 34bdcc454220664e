//! Points of a series as a chart needs them: a window, reduced to what can be drawn, or what was
//! added since the last answer.

use std::fmt;
use std::ops::ControlFlow;

use serde::{Serialize, Serializer};

use super::decimate::{Columns, Decimator};
use super::short_numbers;
use crate::error::{Error, Result};
use crate::event::{RunName, Timestamp};
use crate::number::Number;
use crate::runs::{Point, Series, Store};

/// The part of a series that a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub axis: Axis,
    /// First and last place on the axis; the ends of the series if `None`.
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// Width of the chart in pixels; `None` for all points.
    pub width: Option<usize>,
}

impl Window {
    /// Greatest width that an answer is drawn up for.
    const MAX_WIDTH: usize = 4000;

    fn columns(&self) -> Option<usize> {
        self.width.map(|width| width.clamp(1, Window::MAX_WIDTH))
    }

    /// Returns the number of points up to which all are kept.
    fn most(&self) -> usize {
        self.columns().map_or(usize::MAX, |columns| 2 * columns)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    Step,
    /// Milliseconds since 1970.
    Time,
}

impl Axis {
    /// # Errors
    /// No axis has this name.
    pub fn parse(word: &str) -> Result<Axis> {
        match word {
            "step" => Ok(Axis::Step),
            "time" => Ok(Axis::Time),
            _ => Err(Error::usage(format!("`{word}` is not an axis"))
                .hint("the axes are `step` and `time`")),
        }
    }

    fn place(self, point: &Point) -> i64 {
        match self {
            Axis::Step => point.step,
            Axis::Time => point.at,
        }
    }
}

/// The last point that was answered, and how many there were. Written `COUNT.STEP.AT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    total: u64,
    step: i64,
    at: Timestamp,
}

impl Cursor {
    /// # Errors
    /// The text is not a cursor.
    pub fn parse(text: &str) -> Result<Cursor> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().and_then(|part| part.parse::<i64>().ok());
        let (total, step, at) = (next(), next(), next());
        let cursor = || {
            let total = u64::try_from(total?).ok()?;
            Some(Cursor { total, step: step?, at: at? })
        };
        cursor().ok_or_else(|| Error::usage(format!("`{text}` is not a cursor of a series")))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { total, step, at } = self;
        write!(f, "{total}.{step}.{at}")
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Points of a series, as columns of equal length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurveReport {
    /// Number of points of the series.
    pub total: u64,
    /// Number of points that the answer stands for.
    pub count: u64,
    /// Reports whether the answer has fewer points than it stands for.
    pub decimated: bool,
    /// Reports whether the points follow those before the cursor of the request. Otherwise they
    /// replace them.
    pub appended: bool,
    /// Sorted by their place on the axis. A window has the next point on either side, too.
    pub step: Vec<i64>,
    pub at: Vec<Timestamp>,
    #[serde(serialize_with = "short_numbers")]
    pub value: Vec<Number>,
    /// Asks for the points that are added later.
    pub cursor: Cursor,
}

impl CurveReport {
    /// Reads the window of a series.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read(
        store: &Store,
        run: RunName,
        series: &Series,
        window: Window,
    ) -> Result<CurveReport> {
        let (first, last) = extent(store, run, series, window.axis)?;
        let (from, to) = (window.from.unwrap_or(first), window.to.unwrap_or(last));
        let mut points = Thinned::new(from, to, window);
        let mut around = Around::default();
        let steps = match window.axis {
            Axis::Step => from..=to,
            Axis::Time => i64::MIN..=i64::MAX,
        };
        store.points_within(run, series, steps, |point| {
            let place = window.axis.place(&point);
            if place < from || place > to {
                around.add(place, point, (from, to));
            } else {
                points.push(place, point);
            }
            ControlFlow::Continue(())
        })?;
        if window.axis == Axis::Step {
            around.before = store.point_before(run, series, from)?.map(|point| (from, point));
            let after = to.saturating_add(1)..=i64::MAX;
            store.points_within(run, series, after, |point| {
                around.after = Some((to, point));
                ControlFlow::Break(())
            })?;
        }
        let count = points.count;
        let (decimated, mut kept) = points.finish();
        kept.extend(around.before.into_iter().chain(around.after).map(|(_, point)| point));
        kept.sort_by_key(|point| window.axis.place(point));
        let cursor = Cursor {
            total: series.count,
            step: series.last.step,
            at: store.last_time(run, series)?.unwrap_or(0),
        };
        Ok(report(series, &kept, Counts { count, decimated, appended: false }, cursor))
    }

    /// Reads the points after `cursor`, or the whole window if they are not all at its end.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn since(
        store: &Store,
        run: RunName,
        series: &Series,
        window: Window,
        cursor: Cursor,
    ) -> Result<CurveReport> {
        let mut new: Vec<Point> = Vec::new();
        let most = window.most();
        if cursor.total <= series.count {
            store.points_within(run, series, cursor.step..=i64::MAX, |point| {
                if (point.step, point.at) > (cursor.step, cursor.at) {
                    new.push(point);
                }
                if new.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        let is_sorted = window.axis == Axis::Step
            || new.iter().map(|point| point.at).chain([cursor.at]).min() == Some(cursor.at);
        if cursor.total.checked_add(new.len() as u64) != Some(series.count) || !is_sorted {
            return CurveReport::read(store, run, series, window);
        }
        new.sort_by_key(|point| window.axis.place(point));
        let last = new.iter().max_by_key(|point| (point.step, point.at));
        let last = last.map_or((cursor.step, cursor.at), |point| (point.step, point.at));
        let cursor = Cursor { total: series.count, step: last.0, at: last.1 };
        let count = new.len() as u64;
        Ok(report(series, &new, Counts { count, decimated: false, appended: true }, cursor))
    }
}

struct Counts {
    count: u64,
    decimated: bool,
    appended: bool,
}

fn report(series: &Series, points: &[Point], counts: Counts, cursor: Cursor) -> CurveReport {
    let Counts { count, decimated, appended } = counts;
    CurveReport {
        total: series.count,
        count,
        decimated,
        appended,
        step: points.iter().map(|point| point.step).collect(),
        at: points.iter().map(|point| point.at).collect(),
        value: points.iter().map(|point| point.value).collect(),
        cursor,
    }
}

/// Returns the first and the last place of a series on an axis.
fn extent(store: &Store, run: RunName, series: &Series, axis: Axis) -> Result<(i64, i64)> {
    let extent = match axis {
        Axis::Step => store.step_extent(run, series)?,
        Axis::Time => store.time_extent(run, series)?,
    };
    Ok(extent.unwrap_or((0, 0)))
}

/// All points while they are few, and their extremes per pixel column.
struct Thinned {
    /// `None` if all points are kept.
    columns: Option<Columns>,
    most: usize,
    count: u64,
    few: Vec<Point>,
    many: Decimator<Point>,
}

impl Thinned {
    fn new(from: i64, to: i64, window: Window) -> Thinned {
        let columns = window.columns().map(|width| Columns::new(from, to, width));
        Thinned { columns, most: window.most(), count: 0, few: Vec::new(), many: Decimator::new() }
    }

    fn push(&mut self, place: i64, point: Point) {
        self.count += 1;
        if self.few.len() <= self.most {
            self.few.push(point);
        }
        if let Some(columns) = self.columns {
            self.many.push(columns.of(place), point.value, point);
        }
    }

    /// Returns the points, and `true` if they are not all.
    fn finish(self) -> (bool, Vec<Point>) {
        if self.few.len() <= self.most { (false, self.few) } else { (true, self.many.finish()) }
    }
}

/// The nearest points outside of a window, to which its lines lead, with their places.
#[derive(Default)]
struct Around {
    before: Option<(i64, Point)>,
    after: Option<(i64, Point)>,
}

impl Around {
    fn add(&mut self, place: i64, point: Point, (from, to): (i64, i64)) {
        if place < from && self.before.is_none_or(|(before, _)| before <= place) {
            self.before = Some((place, point));
        } else if place > to && self.after.is_none_or(|(after, _)| place < after) {
            self.after = Some((place, point));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::tests::with_series;
    use proptest::prelude::*;

    const RUN: RunName = RunName(1);

    fn window(axis: Axis, from: Option<i64>, to: Option<i64>, width: usize) -> Window {
        Window { axis, from, to, width: Some(width) }
    }

    fn open(dir: &tempfile::TempDir) -> (Store, Series) {
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let series = store.series(RUN).unwrap().remove(0);
        (store, series)
    }

    #[test]
    fn window_has_neighbours() {
        let points: Vec<(i64, i64, f64)> = (0..100).map(|n| (n * 10, 5000 - n, n as f64)).collect();
        let (store, series) = open(&with_series(&points));
        let read = |axis, from, to| {
            let window = window(axis, Some(from), Some(to), 100);
            CurveReport::read(&store, RUN, &series, window).unwrap()
        };
        let part = read(Axis::Step, 295, 320);
        assert_eq!(part.step, [290, 300, 310, 320, 330]);
        assert_eq!((part.count, part.total, part.decimated), (3, 100, false));
        let part = read(Axis::Time, 4990, 4992);
        assert_eq!(part.at, [4989, 4990, 4991, 4992, 4993]);
        assert_eq!(part.step, [110, 100, 90, 80, 70]);
        let part = read(Axis::Step, 2000, 3000);
        assert_eq!((part.step, part.count), (vec![990], 0));
        let part = read(Axis::Step, 30, -30);
        assert_eq!((part.step.len(), part.count), (2, 0));
    }

    #[test]
    fn long_series_are_decimated() {
        let value = |n: i64| match n {
            5000 => 1e9,
            7000 => f64::NAN,
            _ => (n as f64).sin(),
        };
        let points: Vec<(i64, i64, f64)> = (0..20_000).map(|n| (n, n, value(n))).collect();
        let (store, series) = open(&with_series(&points));
        for axis in [Axis::Step, Axis::Time] {
            let window = window(axis, None, None, 100);
            let curve = CurveReport::read(&store, RUN, &series, window).unwrap();
            assert!(curve.decimated && curve.step.len() <= 203, "{}", curve.step.len());
            assert_eq!((curve.step[0], *curve.step.last().unwrap()), (0, 19_999));
            let at = curve.step.iter().position(|step| *step == 5000).unwrap();
            assert_eq!(curve.value[at], Number::from(1e9));
            assert!(curve.value.iter().any(|value| value.is_nan()));
            let all = Window { width: None, ..window };
            let curve = CurveReport::read(&store, RUN, &series, all).unwrap();
            assert_eq!((curve.decimated, curve.step.len()), (false, 20_000));
        }
    }

    #[test]
    fn added_points_follow_the_cursor() {
        let points: Vec<(i64, i64, f64)> = (0..50).map(|n| (n, n / 3, n as f64)).collect();
        let (store, series) = open(&with_series(&points));
        let all = window(Axis::Step, None, None, 100);
        let since = |total: u64, step: i64, at: i64| {
            let cursor = Cursor { total, step, at };
            assert_eq!(Cursor::parse(&cursor.to_string()).unwrap(), cursor);
            CurveReport::since(&store, RUN, &series, all, cursor).unwrap()
        };
        let more = since(48, 47, 15);
        assert_eq!((more.step, more.appended), (vec![48, 49], true));
        assert_eq!(more.cursor, Cursor { total: 50, step: 49, at: 16 });
        let none = since(50, 49, 16);
        assert_eq!((none.step.len(), none.appended), (0, true));
        // A point was added before the cursor, or the series is another one.
        for (total, step, at) in [(47, 47, 15), (80, 47, 15), (0, i64::MAX, i64::MAX)] {
            let whole = since(total, step, at);
            assert_eq!((whole.step.len(), whole.appended), (50, false));
        }
    }

    #[test]
    fn wrong_requests() {
        let of = |error: Error| error.to_string();
        assert_eq!(of(Axis::parse("x").unwrap_err()), "`x` is not an axis");
        for text in ["", "1", "1.2", "-1.2.3", "a.b.c", "1.2.3.4", "99999999999999999999.1.1"] {
            let error = of(Cursor::parse(text).unwrap_err());
            assert_eq!(error, format!("`{text}` is not a cursor of a series"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_window(
            points in prop::collection::vec((0i64..60, 0i64..60, -5.0..5.0), 1..80),
            from in prop::option::of(-9i64..70),
            to in prop::option::of(-9i64..70),
            width in 0usize..30,
            time in any::<bool>(),
        ) {
            let (store, series) = open(&with_series(&points));
            let axis = if time { Axis::Time } else { Axis::Step };
            let window = window(axis, from, to, width);
            let curve = CurveReport::read(&store, RUN, &series, window).unwrap();
            let places = if time { &curve.at } else { &curve.step };
            prop_assert!(places.is_sorted());
            prop_assert!(curve.step.len() <= 2 * width.max(1) + 4);
            let inside = |place: i64| {
                place >= from.unwrap_or(i64::MIN) && place <= to.unwrap_or(i64::MAX)
            };
            let place = |step: i64, at: i64| if time { at } else { step };
            let expected = points.iter().filter(|(step, at, _)| inside(place(*step, *at)));
            prop_assert_eq!(curve.count, expected.clone().count() as u64);
            let highest = expected.map(|(_, _, value)| *value).reduce(f64::max);
            let kept = places.iter().zip(&curve.value).filter(|(place, _)| inside(**place));
            let kept = kept.map(|(_, value)| value.to_f64()).reduce(f64::max);
            prop_assert_eq!(highest, kept);
        }
    }
}
