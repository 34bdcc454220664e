//! Tests of spaces: grids, zips, conditions, filters and random points.

use super::*;
use crate::pipeline::swept as values;

fn axis(key: &str, raw: &str) -> Axis {
    let domain = Domain::of(values::parse(raw).unwrap(), key, false, &[]).unwrap();
    Axis::Param { operation: Operation::Set, key: key.into(), domain, when: None }
}

fn when(axis: Axis, condition: &str) -> Axis {
    let Axis::Param { operation, key, domain, .. } = axis else { panic!("not a param") };
    Axis::Param { operation, key, domain, when: Some(Condition::new(condition)) }
}

/// Sets each override on top of a few params.
fn compose(given: &[Override]) -> Result<Params, BadSpace> {
    let mut params = Params::default();
    for (key, value) in [("a", 0), ("b", 0), ("c", 0)] {
        params.insert(ParamKey::new(key), value.into());
    }
    for Override { key, raw, .. } in given {
        let value = crate::pipeline::params_edit::parse_value(raw).unwrap();
        params.replace(ParamKey::new(key.as_str()), value);
    }
    Ok(params)
}

fn space(axes: Vec<Axis>, filters: &[&str]) -> Space<'static> {
    let filters = filters.iter().map(|text| Condition::new(*text)).collect();
    Space { axes, filters, compose: &compose }
}

fn shown(space: &Space<'_>, points: &[Point]) -> Vec<String> {
    let line = |point: &Point| {
        space.overrides(point).iter().map(Override::typed).collect::<Vec<_>>().join(" ")
    };
    points.iter().map(line).collect()
}

#[test]
fn first_axis_slowest() {
    let space = space(vec![axis("a", "1,2"), axis("b", "x"), axis("c", "range(2)")], &[]);
    let points = space.grid().unwrap();
    assert_eq!(
        shown(&space, &points),
        ["a=1 b=x c=0", "a=1 b=x c=1", "a=2 b=x c=0", "a=2 b=x c=1"]
    );
}

#[test]
fn filtered_grid() {
    let filters = ["params.a != params.b", "params.a < 3 or params.b == 1"];
    let space = space(vec![axis("a", "1,2,3"), axis("b", "1,2")], &filters);
    assert_eq!(shown(&space, &space.grid().unwrap()), ["a=1 b=2", "a=2 b=1", "a=3 b=1"]);
}

#[test]
fn conditional_axis() {
    let axes = vec![axis("a", "1,2"), when(axis("b", "5,6"), "params.a == 2")];
    let space = space(axes, &[]);
    let points = space.grid().unwrap();
    assert_eq!(shown(&space, &points), ["a=1", "a=2 b=5", "a=2 b=6"]);
    for point in &points {
        assert_eq!(space.locate(&space.overrides(point)).as_ref(), Some(point));
    }
}

#[test]
fn order_of_conditions() {
    let axes = |first: Axis, second: Axis| space(vec![first, second], &[]);
    let condition = || when(axis("b", "5,6"), "params.a == 2");
    assert_eq!(axes(axis("a", "1,2"), condition()).check_order(), Ok(()));
    let bad = axes(condition(), axis("a", "1,2")).check_order().unwrap_err();
    assert_eq!(bad.what, "the condition of `b` depends on `a`");
}

#[test]
fn zipped_params() {
    let of = |key: &str, raw: &str| {
        let domain = Domain::of(values::parse(raw).unwrap(), key, false, &[]).unwrap();
        (Operation::Set, key.to_owned(), domain)
    };
    let zip = Axis::zip(&[of("a", "1,2"), of("b", "x,y")]).unwrap();
    let both = space(vec![zip, axis("c", "7,8")], &[]);
    let points = both.grid().unwrap();
    assert_eq!(shown(&both, &points), ["a=1 b=x c=7", "a=1 b=x c=8", "a=2 b=y c=7", "a=2 b=y c=8"]);
    assert_eq!(both.locate(&both.overrides(&points[3])), Some(points[3].clone()));
    let same = Axis::zip(&[of("a", "1,2,1"), of("b", "x,y,x")]).unwrap();
    assert_eq!(same.count(), Some(2));
    let bad = Axis::zip(&[of("a", "1,2"), of("b", "x")]).unwrap_err();
    assert_eq!(bad.what, "`b` has 1 values, but `a` has 2");
}

#[test]
fn rows_that_leave_params_out() {
    let rows = super::super::table::rows("a,b\n1,\n1,2\n,2\n,\n", ',').unwrap();
    let space = space(vec![axis("c", "7,8"), rows], &[]);
    for point in &space.grid().unwrap() {
        let given = space.overrides(point);
        assert_eq!(space.locate(&given).as_ref(), Some(point), "{given:?}");
    }
}

#[test]
fn options_of_a_group() {
    let options = ["large", "small", "xl"].map(str::to_owned);
    let of = |raw: &str| Domain::of(values::parse(raw).unwrap(), "model", false, &options);
    let names =
        |names: &[&str]| Ok(Domain::Choices(names.iter().map(|&name| name.to_owned()).collect()));
    assert_eq!(of("glob(*)"), names(&["large", "small", "xl"]));
    assert_eq!(of("glob([s*,x*],exclude=xl)"), names(&["small"]));
    assert_eq!(of("glob(z*)").unwrap_err().what, "no option of group `model` matches");
}

#[test]
fn types_of_intervals() {
    let of = |raw: &str, is_integer| Domain::of(values::parse(raw).unwrap(), "k", is_integer, &[]);
    assert!(matches!(of("interval(1,9)", true), Ok(Domain::Integers { .. })));
    assert!(matches!(of("interval(1,9)", false), Ok(Domain::Floats { .. })));
    assert!(of("interval(0.5,9)", true).is_err());
}

#[test]
fn random_points() {
    let axes = || {
        vec![axis("a", "int(interval(1,3))"), axis("b", "loginterval(0.001,1)"), axis("c", "x,y")]
    };
    let space = space(axes(), &["params.b < 0.5"]);
    let points = space.random(50, 7).unwrap();
    assert_eq!(points.len(), 50);
    assert_eq!(points[..20], space.random(20, 7).unwrap()[..]);
    assert_ne!(points, space.random(50, 8).unwrap());
    for point in &points {
        let given = space.overrides(point);
        assert_eq!(space.locate(&given).as_ref(), Some(point), "{given:?}");
        let number = |at: usize| given[at].raw.parse::<f64>().unwrap();
        assert!((1.0..=3.0).contains(&number(0)) && (0.001..0.5).contains(&number(1)));
    }
    assert!(points.iter().any(|point| point.0[1].unwrap() < 0.01));
}

#[test]
fn exhausted_space() {
    let space = space(vec![axis("a", "1,2,3"), axis("b", "1,2")], &["params.a != 3"]);
    let mut shown = shown(&space, &space.random(50, 1).unwrap());
    shown.sort();
    assert_eq!(shown, ["a=1 b=1", "a=1 b=2", "a=2 b=1", "a=2 b=2"]);
}

#[test]
fn impossible_grids() {
    let grid = |axes| space(axes, &[]).grid().unwrap_err().what;
    assert_eq!(grid(vec![axis("a", "interval(0,1)")]), "`a` is an interval, which has no grid");
    let many = || axis("a", "range(1000)");
    assert_eq!(grid(vec![many(), many()]), "the grid has more than 100000 trials");
}
