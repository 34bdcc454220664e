//! Chooses the figures of an out: from its declaration, or else from the columns of its table.
//! Pure.

use std::collections::BTreeMap;

use super::figure::{Bars, Chart, Figure, Group, Line, Mark, Matrix, Runs, Scale, Table};
use crate::data::{Grid, Value};
use crate::error::did_you_mean;
use crate::number::Number;
use crate::pipeline::{Drawing, Template};
use crate::report::decimate::{Decimator, EqualParts, points_per_line};
use crate::report::values::json_of;

/// Maximum number of rows of a table that are shown.
const MOST_ROWS: usize = 1000;
/// Maximum number of points of a scatter plot, per version.
const MOST_POINTS: usize = 5000;
/// Maximum number of classes of a confusion matrix.
const MOST_CLASSES: usize = 200;

/// An out as some runs made it.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) runs: Runs,
    pub(super) grid: Grid,
}

/// Runs that are absent from the figures of an out, and the reason.
pub(super) type Absent = (Runs, String);

/// Returns the figures of the versions of one out. Lines and bars of all versions share a figure;
/// matrices and tables stand side by side.
pub(super) fn figures(
    title: &str,
    drawing: &Drawing,
    versions: &[Version],
) -> (Vec<Figure>, Vec<Absent>) {
    let Some(first) = versions.first() else { return (Vec::new(), Vec::new()) };
    let title = drawing.title.as_deref().unwrap_or(title);
    let template = drawing.template.unwrap_or_else(|| template_of(&first.grid, drawing));
    let columns = Columns::choose(template, &first.grid, drawing);
    let mut absent = Vec::new();
    let mut usable = Vec::new();
    for version in versions {
        match columns.find(&version.grid) {
            Ok(found) => usable.push((version, found)),
            Err(why) => absent.push((version.runs.clone(), why)),
        }
    }
    let figures = match template {
        Template::Linear => charts(title, &columns, &usable, Mark::Line),
        Template::Scatter => charts(title, &columns, &usable, Mark::Point),
        Template::Bar => bars(title, &columns, &usable),
        Template::Confusion => {
            let matrix = |(version, found): &(&Version, Found)| {
                matrix(title, &columns, version, found).ok_or_else(|| {
                    (version.runs.clone(), format!("has more than {MOST_CLASSES} classes"))
                })
            };
            let mut figures = Vec::new();
            for made in usable.iter().map(matrix) {
                match made {
                    Ok(figure) => figures.push(figure),
                    Err(reason) => absent.push(reason),
                }
            }
            figures
        }
        Template::Table => versions.iter().map(|version| table(title, version)).collect(),
    };
    (figures, if template == Template::Table { Vec::new() } else { absent })
}

/// Returns the template that suits the columns of a table.
fn template_of(grid: &Grid, drawing: &Drawing) -> Template {
    let names: Vec<String> = grid.columns.iter().map(|name| name.to_ascii_lowercase()).collect();
    let is_actual = |name: &str| matches!(name, "actual" | "label" | "true" | "target" | "y_true");
    let is_predicted = |name: &str| matches!(name, "predicted" | "prediction" | "pred" | "y_pred");
    let is_pairs = matches!(names.len(), 2 | 3)
        && is_actual(&names[0])
        && is_predicted(&names[1])
        && (names.len() == 2 || is_count(grid, 2));
    let is_numeric = |at: usize| is_numeric(grid, at);
    let all_numeric = !grid.columns.is_empty() && (0..grid.columns.len()).all(is_numeric);
    match () {
        () if is_pairs => Template::Confusion,
        () if drawing.x.is_some() || !drawing.y.is_empty() => Template::Linear,
        () if all_numeric && grid.rows.len() > 1 => Template::Linear,
        () => Template::Table,
    }
}

/// Reports whether all values of a column are numbers or missing, and some are numbers.
fn is_numeric(grid: &Grid, at: usize) -> bool {
    let mut values = grid.column(at).filter(|value| **value != Value::Null).peekable();
    values.peek().is_some() && values.all(|value| number(value).is_some())
}

fn is_count(grid: &Grid, at: usize) -> bool {
    grid.column(at).all(|value| matches!(value, Value::Integer(0..)))
}

fn is_increasing(grid: &Grid, at: usize) -> bool {
    let values: Option<Vec<f64>> =
        grid.column(at).map(|value| Some(number(value)?.to_f64())).collect();
    values.is_some_and(|values| values.windows(2).all(|pair| pair[0] < pair[1]))
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Integer(integer) => Some(Number::from(*integer)),
        Value::Float(float) => Some(Number::from(*float)),
        _ => None,
    }
}

/// The columns that a figure uses, by name.
#[derive(Debug)]
struct Columns {
    /// `None` for the number of the row.
    x: Option<String>,
    y: Vec<String>,
    /// Column with the number of times that a pair of classes occurred.
    count: Option<String>,
    /// The columns of `y` share one figure.
    together: bool,
}

/// Positions of the [`Columns`] in one grid.
struct Found {
    x: Option<usize>,
    y: Vec<usize>,
    count: Option<usize>,
}

impl Columns {
    fn choose(template: Template, grid: &Grid, drawing: &Drawing) -> Columns {
        let name = |at: usize| grid.columns[at].clone();
        let all = || 0..grid.columns.len();
        let numeric = || all().filter(|&at| is_numeric(grid, at));
        let declared = drawing.x.clone();
        let mut count = None;
        let x = declared.or_else(|| match template {
            Template::Linear => numeric().find(|&at| is_increasing(grid, at)).map(name),
            Template::Scatter => numeric().next().map(name),
            Template::Bar => all().find(|&at| !is_numeric(grid, at)).or(all().next()).map(name),
            Template::Confusion => all().next().map(name),
            Template::Table => None,
        });
        let is_x = |at: usize| x.as_deref() == Some(&grid.columns[at]);
        let mut y = drawing.y.clone();
        if y.is_empty() {
            y = match template {
                Template::Table => Vec::new(),
                Template::Confusion => all().find(|&at| !is_x(at)).map(name).into_iter().collect(),
                _ => numeric().filter(|&at| !is_x(at)).map(name).collect(),
            };
        }
        if template == Template::Confusion {
            let named = |at: &usize| !is_x(*at) && !y.contains(&grid.columns[*at]);
            count = all().filter(named).find(|&at| is_count(grid, at)).map(name);
        }
        // A table with a single numeric column is a curve over its rows.
        let x = x.filter(|_| template != Template::Linear || !y.is_empty());
        if y.is_empty() && template == Template::Linear {
            y.extend(numeric().next().map(name));
        }
        Columns { x, y, count, together: !drawing.y.is_empty() }
    }

    fn find(&self, grid: &Grid) -> Result<Found, String> {
        let find = |name: &String| {
            grid.position(name).ok_or_else(|| {
                match did_you_mean(name, grid.columns.iter().map(String::as_str)) {
                    Some(meant) => format!("has no column `{name}`: did you mean `{meant}`?"),
                    None => format!("has no column `{name}`; it has {}", grid.columns.join(", ")),
                }
            })
        };
        if self.y.is_empty() {
            return Err("has no column of numbers".to_owned());
        }
        Ok(Found {
            x: self.x.as_ref().map(find).transpose()?,
            y: self.y.iter().map(find).collect::<Result<_, _>>()?,
            count: self.count.as_ref().and_then(|name| grid.position(name)),
        })
    }

    /// Returns the groups of columns that share a figure, with its title.
    fn figures(&self, title: &str) -> Vec<(String, Vec<usize>)> {
        let all = 0..self.y.len();
        if self.together || self.y.len() == 1 {
            return vec![(title.to_owned(), all.collect())];
        }
        all.map(|at| (format!("{title}: {}", self.y[at]), vec![at])).collect()
    }
}

fn charts(title: &str, columns: &Columns, usable: &[(&Version, Found)], mark: Mark) -> Vec<Figure> {
    let figures = columns.figures(title).into_iter();
    let x = columns.x.clone().unwrap_or_else(|| "row".to_owned());
    let chart = |(title, picked): (String, Vec<usize>)| {
        let limit = points_per_line(usable.len() * picked.len());
        let mut lines = Vec::new();
        for (version, found) in usable {
            for &at in &picked {
                let points = points(&version.grid, found.x, found.y[at]);
                let name = (picked.len() > 1).then(|| columns.y[at].clone());
                lines.push(line(version.runs.clone(), name, points, mark, limit));
            }
        }
        let y = match &picked[..] {
            [one] => columns.y[*one].clone(),
            several => several.iter().map(|&at| &*columns.y[at]).collect::<Vec<_>>().join(", "),
        };
        let scale = match mark {
            Mark::Line => Chart::scale_of(&y, &lines),
            Mark::Point => Scale::Linear,
        };
        Figure::Chart(Chart { title, x: x.clone(), y, scale, mark, lines })
    };
    figures.map(chart).collect()
}

/// Returns the points of a column, without rows that lack one of the values.
fn points(grid: &Grid, x: Option<usize>, y: usize) -> Vec<(Number, Number)> {
    let row = |(at, row): (usize, &Vec<Value>)| {
        let place = match x {
            Some(x) => number(&row[x])?,
            None => Number::from(at as f64),
        };
        Some((place, number(&row[y])?))
    };
    grid.rows.iter().enumerate().filter_map(row).collect()
}

fn line(
    runs: Runs,
    name: Option<String>,
    mut points: Vec<(Number, Number)>,
    mark: Mark,
    limit: usize,
) -> Line {
    let total = points.len() as u64;
    points.retain(|(x, _)| x.is_finite());
    match mark {
        Mark::Point => {
            let every = points.len().div_ceil(MOST_POINTS).max(1);
            points = points.into_iter().step_by(every).collect();
        }
        Mark::Line => {
            points.sort_by(|a, b| a.0.to_f64().total_cmp(&b.0.to_f64()));
            let mut parts = EqualParts::new(points.len() as u64, limit);
            let mut decimator = Decimator::new();
            for point in points {
                decimator.push(parts.next_bucket(), point.1, point);
            }
            points = decimator.finish();
        }
    }
    let (x, y) = points.into_iter().unzip();
    Line { runs, name, total, x, y }
}

fn bars(title: &str, columns: &Columns, usable: &[(&Version, Found)]) -> Vec<Figure> {
    let mut categories: Vec<String> = Vec::new();
    for (version, found) in usable {
        for value in version.grid.column(found.x.unwrap_or(0)) {
            let name = text(value);
            if !categories.contains(&name) && categories.len() < MOST_ROWS {
                categories.push(name);
            }
        }
    }
    let figure = |(title, picked): (String, Vec<usize>)| {
        let mut groups = Vec::new();
        for (version, found) in usable {
            for &at in &picked {
                let mut by_name = BTreeMap::new();
                for row in &version.grid.rows {
                    by_name.insert(text(&row[found.x.unwrap_or(0)]), number(&row[found.y[at]]));
                }
                let value = |name: &String| by_name.get(name).copied().flatten();
                groups.push(Group {
                    runs: version.runs.clone(),
                    name: (picked.len() > 1).then(|| columns.y[at].clone()),
                    values: categories.iter().map(value).collect(),
                });
            }
        }
        let y = picked.iter().map(|&at| &*columns.y[at]).collect::<Vec<_>>().join(", ");
        let x = columns.x.clone().unwrap_or_default();
        Figure::Bars(Bars { title, x, y, categories: categories.clone(), groups })
    };
    columns.figures(title).into_iter().map(figure).collect()
}

/// Counts pairs of classes; `None` if there are too many classes.
fn matrix(title: &str, columns: &Columns, version: &Version, found: &Found) -> Option<Figure> {
    let (x, y) = (found.x.unwrap_or(0), *found.y.first()?);
    let mut classes: Vec<String> = Vec::new();
    let mut counts: BTreeMap<(String, String), i128> = BTreeMap::new();
    for row in &version.grid.rows {
        let pair = (text(&row[x]), text(&row[y]));
        let count = match found.count.map(|at| &row[at]) {
            Some(Value::Integer(count)) => *count,
            _ => 1,
        };
        for class in [&pair.0, &pair.1] {
            if !classes.contains(class) {
                classes.push(class.clone());
            }
        }
        if classes.len() > MOST_CLASSES {
            return None;
        }
        let sum = counts.entry(pair).or_default();
        *sum = sum.saturating_add(count);
    }
    if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<i64>().unwrap_or(0));
    }
    let cell = |actual: &String, other: &String| {
        let count = counts.get(&(actual.clone(), other.clone()));
        Number::from(count.copied().unwrap_or(0))
    };
    let row = |actual| classes.iter().map(|other| cell(actual, other)).collect();
    Some(Figure::Matrix(Matrix {
        title: title.to_owned(),
        runs: version.runs.clone(),
        x: columns.y[0].clone(),
        y: columns.x.clone().unwrap_or_default(),
        cells: classes.iter().map(row).collect(),
        classes,
    }))
}

fn table(title: &str, version: &Version) -> Figure {
    let Version { runs, grid } = version;
    let shown = grid.rows.iter().take(MOST_ROWS);
    Figure::Table(Table {
        title: title.to_owned(),
        runs: runs.clone(),
        columns: grid.columns.clone(),
        rows: shown.map(|row| row.iter().map(json_of).collect()).collect(),
        total: grid.rows.len(),
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Null => String::new(),
        other => match json_of(other) {
            serde_json::Value::String(text) => text,
            json => json.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Format;
    use proptest::prelude::*;

    fn version(run: usize, text: &str) -> Version {
        Version { runs: vec![run], grid: Grid::parse(Format::Csv(','), text).unwrap() }
    }

    /// Describes a figure by its kind, title, axes and values.
    fn brief(figure: &Figure) -> String {
        let values = |values: &[Number]| {
            values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(" ")
        };
        match figure {
            Figure::Chart(Chart { title, x, y, mark, lines, .. }) => {
                let line = |line: &Line| {
                    let name = line.name.as_deref().unwrap_or("-");
                    format!("{:?} {name} ({}) ({})", line.runs, values(&line.x), values(&line.y))
                };
                let lines = lines.iter().map(line).collect::<Vec<_>>().join(", ");
                format!("{mark:?} {title:?} {x}/{y}: {lines}")
            }
            Figure::Bars(Bars { title, categories, groups, .. }) => {
                let group = |group: &Group| format!("{:?} {:?}", group.runs, group.values);
                let groups = groups.iter().map(group).collect::<Vec<_>>().join(", ");
                format!("Bars {title:?} {}: {groups}", categories.join(" "))
            }
            Figure::Matrix(Matrix { x, y, classes, cells, .. }) => {
                let rows: Vec<String> = cells.iter().map(|row| values(row)).collect();
                format!("Matrix {x}/{y} {}: {}", classes.join(" "), rows.join(", "))
            }
            Figure::Table(Table { columns, total, .. }) => format!("Table {columns:?} {total}"),
            Figure::Image(_) => "Image".to_owned(),
        }
    }

    fn drawn(drawing: &Drawing, texts: &[&str]) -> String {
        let versions = texts.iter().enumerate().map(|(run, text)| version(run, text));
        let (figures, absent) = figures("p.csv", drawing, &versions.collect::<Vec<_>>());
        let absent = absent.into_iter().map(|(runs, why)| format!("{runs:?} {why}"));
        figures.iter().map(brief).chain(absent).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn figures_by_columns() {
        for (text, expected) in [
            ("epoch,loss\n1,0.5\n2,nan\n", "Line \"p.csv\" epoch/loss: [0] - (1.0 2.0) (0.5 NaN)"),
            (
                "a,b\n2,0.5\n1,\n",
                "Line \"p.csv: a\" row/a: [0] - (0.0 1.0) (2.0 1.0)\n\
                 Line \"p.csv: b\" row/b: [0] - (0.0) (0.5)",
            ),
            ("loss\n1\n2\n", "Line \"p.csv\" row/loss: [0] - (0.0 1.0) (1.0 2.0)"),
            ("actual,predicted\na,b\nb,b\na,b\n", "Matrix predicted/actual a b: 0.0 2.0, 0.0 1.0"),
            ("label,pred,n\n10,9,4\n", "Matrix pred/label 9 10: 0.0 0.0, 4.0 0.0"),
            ("class,f1\nrock,0.5\njazz,1\n", "Table [\"class\", \"f1\"] 2"),
            ("a,b\n1,2\n", "Table [\"a\", \"b\"] 1"),
            ("a\n", "Table [\"a\"] 0"),
        ] {
            assert_eq!(drawn(&Drawing::default(), &[text]), expected, "{text}");
        }
    }

    #[test]
    fn figures_as_declared() {
        let drawing = |template, x: &str, y: &[&str]| Drawing {
            template,
            x: Some(x.to_owned()).filter(|x| !x.is_empty()),
            y: y.iter().map(|&column| column.to_owned()).collect(),
            title: Some("T".to_owned()),
        };
        for (declared, texts, expected) in [
            (
                drawing(None, "s", &["a", "b"]),
                &["s,a,b\n2,1,3\n1,4,5\n"][..],
                "Line \"T\" s/a, b: [0] a (1.0 2.0) (4.0 1.0), [0] b (1.0 2.0) (5.0 3.0)",
            ),
            (
                drawing(Some(Template::Scatter), "", &[]),
                &["a,b\n2,1\n1,4\n", "a,b\n5,6\n"],
                "Point \"T\" a/b: [0] - (2.0 1.0) (1.0 4.0), [1] - (5.0) (6.0)",
            ),
            (
                drawing(Some(Template::Bar), "", &[]),
                &["c,v\nx,1\ny,2\n", "c,v\ny,3\nz,4\n"],
                "Bars \"T\" x y z: [0] [Some(1.0), Some(2.0), None], \
                 [1] [None, Some(3.0), Some(4.0)]",
            ),
            (
                drawing(Some(Template::Confusion), "t", &["p"]),
                &["p,t\na,b\n"],
                "Matrix p/t b a: 0.0 1.0, 0.0 0.0",
            ),
            (
                drawing(None, "step", &["loss"]),
                &["step,loss\n1,2\n", "steps,los\n1,2\n"],
                "Line \"T\" step/loss: [0] - (1.0) (2.0)\n\
                 [1] has no column `step`: did you mean `steps`?",
            ),
            (
                drawing(Some(Template::Bar), "", &[]),
                &["a,b\nx,y\n"],
                "[0] has no column of numbers",
            ),
        ] {
            assert_eq!(drawn(&declared, texts), expected, "{declared:?}");
        }
    }

    proptest! {
        #[test]
        fn any_table_is_drawn(
            text in "[a-c](,[ab1]){0,3}\n([01a,.\n-]|nan){0,30}",
            template in prop::option::of(prop::sample::select(&Template::ALL[..])),
            x in prop::option::of("[ab1]"),
        ) {
            let Ok(grid) = Grid::parse(Format::Csv(','), &text) else { return Ok(()) };
            let version = Version { runs: vec![0], grid };
            let drawing = Drawing { template, x, ..Drawing::default() };
            let (figures, absent) = figures("p.csv", &drawing, &[version.clone(), version]);
            prop_assert!(!figures.is_empty() || !absent.is_empty());
        }
    }
}
