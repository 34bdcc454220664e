//! The space of a sweep: its axes, the conditions on them, and the points in it.

use std::collections::BTreeSet;

use super::random::Random;
use crate::pipeline::swept::{Interval, Kind, Scale, Values, float_text};
use crate::pipeline::{BadCondition, Condition, Operation, Override, ParamKey, Params};

/// The axes of a sweep and the conditions that its trials fulfil.
pub struct Space<'c> {
    pub axes: Vec<Axis>,
    /// Conditions that every trial fulfils.
    pub filters: Vec<Condition>,
    /// Returns the params of the pipeline with some overrides.
    pub compose: &'c Compose<'c>,
}

/// Returns the params with some overrides, for conditions.
pub type Compose<'c> = dyn Fn(&[Override]) -> Result<Params, BadSpace> + 'c;

/// One choice that is independent of the other axes.
#[derive(Debug, Clone, PartialEq)]
pub enum Axis {
    /// The values of one param.
    Param {
        operation: Operation,
        key: String,
        domain: Domain,
        /// The param is left alone unless this holds for the axes before it.
        when: Option<Condition>,
    },
    /// Several params that change together, as in a zip or the rows of a table.
    Rows(Vec<Vec<Override>>),
}

/// The values of a param.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Texts without an order, as `-p` takes them.
    Choices(Vec<String>),
    /// Evenly spaced numbers.
    Steps(Vec<String>),
    Integers {
        low: f64,
        high: f64,
        scale: Scale,
    },
    Floats {
        low: f64,
        high: f64,
        scale: Scale,
    },
}

/// One place on each axis: the index of a choice, or a number. An inactive axis has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Point(pub(super) Vec<Option<f64>>);

/// Error: a space has no meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSpace {
    pub what: String,
    pub hint: Option<String>,
}

/// The most points of a grid.
const MOST_POINTS: usize = 100_000;

impl BadSpace {
    pub fn new(what: impl Into<String>) -> BadSpace {
        BadSpace { what: what.into(), hint: None }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> BadSpace {
        BadSpace { hint: Some(hint.into()), ..self }
    }
}

impl From<BadCondition> for BadSpace {
    fn from(bad: BadCondition) -> BadSpace {
        BadSpace::new(bad.what).hint(bad.hint)
    }
}

impl std::fmt::Debug for Space<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Space { axes, filters, .. } = self;
        f.debug_struct("Space").field("axes", axes).field("filters", filters).finish()
    }
}

impl Domain {
    /// Returns the values for a param of the pipeline.
    ///
    /// `is_integer` is whether the param is an integer, which decides the type of an interval.
    /// `options` are the options of the group of this name.
    ///
    /// # Errors
    /// No option matches, or an interval of integers has ends that are not integers.
    pub fn of(
        values: Values,
        key: &str,
        is_integer: bool,
        options: &[String],
    ) -> Result<Domain, BadSpace> {
        Ok(match values {
            Values::One(text) => Domain::Choices(vec![text]),
            Values::Several(texts) => Domain::Choices(texts),
            Values::Steps(texts) => Domain::Steps(texts),
            Values::Interval(Interval { low, high, scale, kind }) => match (kind, is_integer) {
                (Kind::Integer, _) => Domain::Integers { low, high, scale },
                (Kind::OfParam, true) if low.fract() == 0.0 && high.fract() == 0.0 => {
                    Domain::Integers { low, high, scale }
                }
                (Kind::OfParam, true) => {
                    let what = format!("`{key}` is an integer, so the ends must be integers");
                    return Err(BadSpace::new(what));
                }
                (Kind::OfParam | Kind::Float, _) => Domain::Floats { low, high, scale },
            },
            Values::Glob { include, exclude } => {
                Domain::Choices(matching(key, &include, &exclude, options)?)
            }
        })
    }

    /// Leaves out each value that is the same as an earlier one, since a trial is its params.
    #[must_use]
    pub fn distinct(self) -> Domain {
        match self {
            Domain::Choices(texts) => Domain::Choices(distinct(texts)),
            numbers => numbers,
        }
    }

    /// Returns the number of values; `None` for an interval.
    fn count(&self) -> Option<usize> {
        match self {
            Domain::Choices(texts) | Domain::Steps(texts) => Some(texts.len()),
            Domain::Integers { .. } | Domain::Floats { .. } => None,
        }
    }

    fn text(&self, place: f64) -> String {
        match self {
            Domain::Choices(texts) | Domain::Steps(texts) => texts[place as usize].clone(),
            Domain::Integers { .. } => format!("{place}"),
            Domain::Floats { .. } => float_text(place),
        }
    }

    /// Finds a text that was recorded; `None` if it is not a value of this domain.
    fn place(&self, text: &str) -> Option<f64> {
        match self {
            Domain::Choices(texts) | Domain::Steps(texts) => {
                texts.iter().position(|other| other == text).map(|at| at as f64)
            }
            Domain::Integers { low, high, .. } | Domain::Floats { low, high, .. } => {
                text.parse().ok().filter(|number| (low..=high).contains(&number))
            }
        }
    }

    fn draw(&self, random: &mut Random) -> f64 {
        match *self {
            Domain::Choices(ref texts) | Domain::Steps(ref texts) => {
                random.below(texts.len()) as f64
            }
            Domain::Integers { low, high, scale } => {
                let (from, to) = (scale.apply(low - 0.5), scale.apply(high + 0.5));
                scale.invert(from + random.unit() * (to - from)).round().clamp(low, high)
            }
            Domain::Floats { low, high, scale } => {
                let (from, to) = (scale.apply(low), scale.apply(high));
                short(scale.invert(from + random.unit() * (to - from))).clamp(low, high)
            }
        }
    }
}

impl Scale {
    pub(super) fn apply(self, value: f64) -> f64 {
        if self == Scale::Log { value.ln() } else { value }
    }

    pub(super) fn invert(self, value: f64) -> f64 {
        if self == Scale::Log { value.exp() } else { value }
    }
}

/// Rounds to six significant digits, which are enough for a param and can be read.
pub(super) fn short(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

fn distinct<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut distinct: Vec<T> = Vec::with_capacity(values.len());
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

fn matching(
    key: &str,
    include: &[String],
    exclude: &[String],
    options: &[String],
) -> Result<Vec<String>, BadSpace> {
    if options.is_empty() {
        return Err(BadSpace::new(format!("`{key}` is not a group, so `glob` finds no options"))
            .hint("declare it under `groups` of `[config]`, or list the values"));
    }
    let any = |globs: &[String], name: &str| {
        globs.iter().any(|glob| fast_glob::glob_match(glob.as_str(), name))
    };
    let chosen = options.iter().filter(|name| any(include, name) && !any(exclude, name));
    let chosen: Vec<String> = chosen.cloned().collect();
    match chosen.is_empty() {
        true => Err(BadSpace::new(format!("no option of group `{key}` matches"))
            .hint(format!("the options are {}", options.join(", ")))),
        false => Ok(chosen),
    }
}

impl Axis {
    /// Returns an axis on which params change together.
    ///
    /// # Errors
    /// They have different numbers of values, or an interval.
    pub fn zip(params: &[(Operation, String, Domain)]) -> Result<Axis, BadSpace> {
        let mut rows: Vec<Vec<Override>> = Vec::new();
        for (operation, key, domain) in params {
            let Some(count) = domain.count() else {
                return Err(BadSpace::new(format!("`{key}` is an interval, which has no rows"))
                    .hint("list its values"));
            };
            if rows.is_empty() {
                rows.resize(count, Vec::new());
            }
            if rows.len() != count {
                let (first, other) = (&params[0].1, rows.len());
                let what = format!("`{key}` has {count} values, but `{first}` has {other}");
                return Err(BadSpace::new(what).hint("params of a zip need equally many values"));
            }
            for (at, row) in rows.iter_mut().enumerate() {
                let raw = domain.text(at as f64);
                row.push(Override { operation: *operation, key: key.clone(), raw });
            }
        }
        Ok(Axis::rows(rows))
    }

    /// Returns an axis with a row for each choice; equal rows are one.
    pub fn rows(rows: Vec<Vec<Override>>) -> Axis {
        Axis::Rows(distinct(rows))
    }

    /// Returns the number of choices; `None` for an interval.
    pub fn count(&self) -> Option<usize> {
        match self {
            Axis::Param { domain, .. } => domain.count(),
            Axis::Rows(rows) => Some(rows.len()),
        }
    }

    /// Returns the keys of the params that it changes.
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Axis::Param { key, .. } => vec![key],
            Axis::Rows(rows) => {
                let mut keys: Vec<&str> = Vec::new();
                for given in rows.iter().flatten() {
                    if !keys.contains(&given.key.as_str()) {
                        keys.push(&given.key);
                    }
                }
                keys
            }
        }
    }

    /// Returns the overrides of the choice with this index, or of this number.
    pub fn overrides(&self, place: f64) -> Vec<Override> {
        match self {
            Axis::Param { operation, key, domain, .. } => {
                let raw = domain.text(place);
                vec![Override { operation: *operation, key: key.clone(), raw }]
            }
            Axis::Rows(rows) => rows[place as usize].clone(),
        }
    }

    fn place(&self, overrides: &[Override]) -> Option<f64> {
        match self {
            Axis::Param { operation, key, domain, .. } => {
                let same = |given: &&Override| given.operation == *operation && given.key == *key;
                domain.place(&overrides.iter().find(same)?.raw)
            }
            Axis::Rows(rows) => {
                // A row may leave out params that another one sets.
                let keys = self.keys();
                let own = overrides.iter().filter(|given| keys.contains(&given.key.as_str()));
                let count = own.count();
                let is_row = |row: &Vec<Override>| {
                    row.len() == count && row.iter().all(|one| overrides.contains(one))
                };
                rows.iter().position(is_row).map(|at| at as f64)
            }
        }
    }

    fn draw(&self, random: &mut Random) -> f64 {
        match self {
            Axis::Param { domain, .. } => domain.draw(random),
            Axis::Rows(rows) => random.below(rows.len()) as f64,
        }
    }
}

impl Space<'_> {
    /// Returns the overrides that a point stands for.
    pub fn overrides(&self, point: &Point) -> Vec<Override> {
        let places = self.axes.iter().zip(&point.0);
        places.filter_map(|(axis, place)| Some(axis.overrides((*place)?))).flatten().collect()
    }

    /// Finds the point of a trial that was recorded; `None` if the space does not contain it.
    pub fn locate(&self, overrides: &[Override]) -> Option<Point> {
        let places = self.axes.iter().map(|axis| match (axis.place(overrides), axis) {
            (None, Axis::Param { when: None, .. } | Axis::Rows(_)) => None,
            (place, _) => Some(place),
        });
        let point = Point(places.collect::<Option<_>>()?);
        (self.overrides(&point).len() == overrides.len()).then_some(point)
    }

    /// Leaves out the axes whose condition does not hold; `None` if a filter excludes the point.
    ///
    /// # Errors
    /// A condition cannot be evaluated.
    pub fn settle(&self, mut point: Point) -> Result<Option<Point>, BadSpace> {
        let mut given = Vec::new();
        for (axis, place) in self.axes.iter().zip(&mut point.0) {
            if let Axis::Param { when: Some(condition), .. } = axis
                && !condition.holds(&(self.compose)(&given)?)?
            {
                *place = None;
            }
            given.extend(place.map(|place| axis.overrides(place)).into_iter().flatten());
        }
        if self.filters.is_empty() {
            return Ok(Some(point));
        }
        let params = (self.compose)(&given)?;
        for filter in &self.filters {
            if !filter.holds(&params)? {
                return Ok(None);
            }
        }
        Ok(Some(point))
    }

    /// Checks that no condition depends on its own axis or a later one.
    ///
    /// # Errors
    /// Names the axis.
    pub fn check_order(&self) -> Result<(), BadSpace> {
        for (at, axis) in self.axes.iter().enumerate() {
            let Axis::Param { when: Some(condition), key, .. } = axis else { continue };
            let later = self.axes[at..].iter().flat_map(Axis::keys);
            let uses = |key: &&str| ParamKey::parse(*key).is_ok_and(|key| condition.uses(&key));
            if let Some(later) = later.into_iter().find(uses) {
                let what = format!("the condition of `{key}` depends on `{later}`");
                return Err(BadSpace::new(what).hint(format!("give `{later}` before `{key}`")));
            }
        }
        Ok(())
    }

    /// Returns all points, the first axis slowest.
    ///
    /// # Errors
    /// An axis is an interval, there are too many points, or a condition cannot be evaluated.
    pub fn grid(&self) -> Result<Vec<Point>, BadSpace> {
        let mut total = 1_usize;
        for axis in &self.axes {
            let Some(count) = axis.count() else {
                let key = axis.keys().join(", ");
                return Err(BadSpace::new(format!("`{key}` is an interval, which has no grid"))
                    .hint("add `--random N` or `--optimize max:METRIC`, or list the values"));
            };
            total = total.saturating_mul(count);
        }
        if total > MOST_POINTS {
            return Err(BadSpace::new(format!("the grid has more than {MOST_POINTS} trials"))
                .hint("draw from it with `--random N`"));
        }
        let counts: Vec<usize> = self.axes.iter().filter_map(Axis::count).collect();
        let point = |mut number: usize| {
            let mut places = vec![None; counts.len()];
            for (place, count) in places.iter_mut().zip(&counts).rev() {
                *place = Some((number % count) as f64);
                number /= count;
            }
            Point(places)
        };
        let mut points = Vec::new();
        // Points that differ only on inactive axes are one.
        let mut seen = BTreeSet::new();
        for point in (0..total).map(point) {
            if let Some(point) = self.settle(point)?
                && seen
                    .insert(point.0.iter().map(|place| place.map(f64::to_bits)).collect::<Vec<_>>())
            {
                points.push(point);
            }
        }
        Ok(points)
    }

    /// Draws a number of different points. The first ones stay the same if more are drawn.
    ///
    /// # Errors
    /// A condition cannot be evaluated.
    pub fn random(&self, count: usize, seed: u64) -> Result<Vec<Point>, BadSpace> {
        let mut points = Vec::new();
        while points.len() < count
            && let Some(point) = self.draw(&points, seed, points.len() as u64)?
        {
            points.push(point);
        }
        Ok(points)
    }

    /// Draws a point that is not known yet; `None` if there seems to be none.
    pub(super) fn draw(
        &self,
        known: &[Point],
        seed: u64,
        stream: u64,
    ) -> Result<Option<Point>, BadSpace> {
        const TRIES: usize = 1_000;
        let mut random = Random::new(seed, stream);
        for _ in 0..TRIES {
            let places = self.axes.iter().map(|axis| Some(axis.draw(&mut random)));
            let settled = self.settle(Point(places.collect()))?;
            if let Some(point) = settled.filter(|point| !known.contains(point)) {
                return Ok(Some(point));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
