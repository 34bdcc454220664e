//! AdamW against burn's own, and saving and restoring its state.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use burn::module::{Module, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use kernels::adamw::{AdamW, Settings};

const SETTINGS: Settings = Settings { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.3 };

#[derive(Module, Debug)]
struct Pair {
    large: Param<Tensor<2>>,
    small: Param<Tensor<1>>,
}

/// Returns parameters with more values than one chunk.
fn pair() -> Pair {
    let device = Device::flex().autodiff();
    let of = |count: usize, shape: &[usize]| {
        let values: Vec<f32> = (0..count).map(|at| (at as f32 * 0.7).sin()).collect();
        TensorData::new(values, shape.to_vec())
    };
    Pair {
        large: Param::from_data(of(40_000, &[200, 200]), &device),
        small: Param::from_data(of(5, &[5]), &device),
    }
}

fn gradients(pair: &Pair, step: usize) -> GradientsParams {
    let (large, small) = (pair.large.val(), pair.small.val());
    let loss =
        (large.clone() * large.mul_scalar(step as f32 - 1.5)).sum() + small.powi_scalar(3).sum();
    GradientsParams::from_grads(loss.backward(), pair)
}

fn values(pair: &Pair) -> Vec<f32> {
    let large = pair.large.val().into_data();
    large.iter::<f32>().chain(pair.small.val().into_data().iter::<f32>()).collect()
}

#[test]
fn five_steps_match_burn() {
    let config = AdamWConfig::new().with_beta_1(0.9).with_beta_2(0.999).with_epsilon(1e-8);
    let (mut expected, mut reference) = (pair(), config.with_weight_decay(0.3).init());
    let (mut found, mut optimizer) = (pair(), AdamW::new(SETTINGS));
    for step in 0..5 {
        let of_expected = gradients(&expected, step);
        expected = reference.step(1e-2, expected, of_expected);
        let of_found = gradients(&found, step);
        found = optimizer.step(1e-2, found, of_found);
    }
    for (found, expected) in values(&found).iter().zip(values(&expected)) {
        assert!((found - expected).abs() <= 1e-5, "expected {expected}, found {found}");
    }
}

#[test]
fn step_does_not_change_clones() {
    let (module, mut optimizer) = (pair(), AdamW::new(SETTINGS));
    let (clone, of_module) = (module.clone(), gradients(&module, 0));
    let stepped = optimizer.step(1e-2, module, of_module);
    assert_eq!(values(&clone), values(&pair()));
    assert_ne!(values(&stepped), values(&pair()));
}

#[test]
fn restored_state() {
    let mut optimizer = AdamW::new(SETTINGS);
    let fresh = pair();
    let of_fresh = gradients(&fresh, 0);
    let once = optimizer.step(1e-2, fresh, of_fresh);
    let state = optimizer.state(&once);
    assert_eq!(state.steps, 1);

    let mut other = AdamW::new(SETTINGS);
    other.restore(&once, state.clone()).unwrap();
    assert_eq!(other.state(&once), state);
    let twice = |mut optimizer: AdamW| {
        let (module, of_module) = (once.clone(), gradients(&once, 1));
        values(&optimizer.step(1e-2, module, of_module))
    };
    assert_eq!(twice(optimizer), twice(other));

    let mut short = state.clone();
    short.moments.pop();
    assert_eq!(AdamW::new(SETTINGS).restore(&once, short), Err(1));
    let mut long = state;
    long.moments.push([vec![0.0], vec![0.0]]);
    assert_eq!(AdamW::new(SETTINGS).restore(&once, long), Err(2));
}
