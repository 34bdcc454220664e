//! Quality of the optimizer beside Optuna's: `benches/optuna_tpe.py` prints the figures.

use super::*;
use crate::pipeline::swept::Scale;
use crate::pipeline::{Operation, Params};
use crate::sweep::space::{Axis, Domain};

const SEEDS: u64 = 30;
const TRIALS: usize = 100;

fn axis(domain: Domain) -> Axis {
    Axis::Param { operation: Operation::Set, key: "x".into(), domain, when: None }
}

fn line(low: f64, high: f64) -> Axis {
    axis(Domain::Floats { low, high, scale: Scale::Linear })
}

fn space(axes: Vec<Axis>) -> Space<'static> {
    Space { axes, filters: Vec::new(), compose: &|_| Ok(Params::default()) }
}

/// Returns the median over the seeds of the lowest score.
fn median_regret(axes: Vec<Axis>, function: impl Fn(&[f64]) -> f64) -> f64 {
    let space = space(axes);
    let best = |seed| {
        let mut finished: Vec<Finished> = Vec::new();
        for _ in 0..TRIALS {
            let point = ask(&space, &finished, &[], seed).unwrap().unwrap();
            let places: Vec<f64> = point.0.iter().map(|place| place.unwrap()).collect();
            finished.push(Finished { point, score: function(&places) });
        }
        finished.iter().map(|trial| trial.score).fold(f64::INFINITY, f64::min)
    };
    let mut regrets: Vec<f64> = (0..SEEDS).map(best).collect();
    regrets.sort_by(f64::total_cmp);
    let middle = regrets.len() / 2;
    f64::midpoint(regrets[middle - 1], regrets[middle])
}

fn check(optuna: f64, axes: Vec<Axis>, function: impl Fn(&[f64]) -> f64) {
    let ours = median_regret(axes, function);
    println!("median regret {ours:.5}, Optuna {optuna}");
    assert!(ours <= 1.5 * optuna, "median regret {ours}, Optuna {optuna}");
}

#[test]
fn sphere() {
    let axes = vec![line(-5.0, 5.0), line(-5.0, 5.0)];
    check(0.0043, axes, |x| x.iter().map(|x| x * x).sum());
}

#[test]
fn branin() {
    use std::f64::consts::PI;
    check(0.0204, vec![line(-5.0, 10.0), line(0.0, 15.0)], |x| {
        let parabola = x[1] - 5.1 / (4.0 * PI * PI) * x[0] * x[0] + 5.0 / PI * x[0] - 6.0;
        let wave = 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x[0].cos();
        parabola * parabola + wave + 10.0 - 0.397_887_357_729_738_16
    });
}

#[test]
fn rosenbrock() {
    let axes = (0..4).map(|_| line(-2.0, 2.0)).collect();
    check(3.3554, axes, |x| {
        let term =
            |pair: &[f64]| 100.0 * (pair[1] - pair[0] * pair[0]).powi(2) + (1.0 - pair[0]).powi(2);
        x.windows(2).map(term).sum()
    });
}

#[test]
fn hartmann() {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let axes = (0..6).map(|_| line(0.0, 1.0)).collect();
    check(0.1290, axes, |x| {
        let term = |row: usize| {
            let distance = (0..6).map(|at| A[row][at] * (x[at] - P[row][at]).powi(2));
            ALPHA[row] * (-distance.sum::<f64>()).exp()
        };
        3.322_368_011_415_511 - (0..4).map(term).sum::<f64>()
    });
}

/// A loss whose best learning rate depends on the optimiser.
#[test]
fn training() {
    let axes = vec![
        axis(Domain::Floats { low: 1e-5, high: 1.0, scale: Scale::Log }),
        axis(Domain::Integers { low: 1.0, high: 8.0, scale: Scale::Linear }),
        axis(Domain::Choices(["sgd", "adam", "rmsprop"].map(str::to_owned).to_vec())),
        line(0.0, 0.6),
    ];
    check(0.0004, axes, |x| {
        let (best, penalty) = [(-1.0, 0.05), (-3.0, 0.0), (-3.2, 0.03)][x[2] as usize];
        let rate = 0.15 * (x[0].log10() - best).powi(2);
        rate + 0.02 * (x[1] - 4.0).powi(2) + 0.8 * (x[3] - 0.25).powi(2) + penalty
    });
}

#[test]
fn no_point_twice() {
    let choices =
        |count: usize| axis(Domain::Choices((0..count).map(|at| at.to_string()).collect()));
    let space = space(vec![choices(5), choices(4)]);
    let mut finished = Vec::new();
    while let Some(point) = ask(&space, &finished, &[], 3).unwrap() {
        assert!(finished.iter().all(|trial: &Finished| trial.point != point));
        let score = if finished.len() % 3 == 0 { f64::INFINITY } else { finished.len() as f64 };
        finished.push(Finished { point, score });
    }
    assert_eq!(finished.len(), 20);
}

#[test]
fn pending_points_repel() {
    let space = space(vec![line(0.0, 1.0)]);
    let finished: Vec<Finished> = (0..20)
        .map(|at| f64::from(at) / 20.0)
        .map(|x| Finished { point: Point(vec![Some(x)]), score: (x - 0.5).abs() })
        .collect();
    let mut pending = Vec::new();
    for _ in 0..30 {
        pending.push(ask(&space, &finished, &pending, 1).unwrap().unwrap());
    }
    let places = pending.iter().map(|point| point.0[0].unwrap());
    let spread = places.map(|place| (place - 0.5).abs()).sum::<f64>() / pending.len() as f64;
    assert!(spread > 0.1, "{pending:?}");
}
