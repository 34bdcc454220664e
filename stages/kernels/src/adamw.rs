//! AdamW in one pass over each parameter.
//!
//! burn's own optimizer runs a dozen tensor operations, and each allocates its result. For a
//! network of two million weights and small batches that is most of a training step. Unaware of
//! learning rate schedules and of how gradients are computed.

use std::collections::HashMap;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::bridge::{packed, values};
use crate::simd::vectorized;

/// Number of values that a thread updates at a time.
const CHUNK: usize = 16 * 1024;

/// AdamW (Loshchilov and Hutter 2019), computed as in `torch.optim.AdamW`.
///
/// The weight decay is decoupled from the gradients and applies to all parameters.
#[derive(Clone, Debug)]
pub struct AdamW {
    settings: Settings,
    steps: i32,
    moments: HashMap<ParamId, Moments>,
}

/// The constants of AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Decay rates of the running means of the gradients and of their squares.
    pub betas: [f64; 2],
    /// Term added to the root of the mean square.
    pub epsilon: f64,
    /// Weight decay per step, as a fraction of the learning rate.
    pub weight_decay: f64,
}

/// Optimizer state between steps, on the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Number of steps taken.
    pub steps: i32,
    /// Running means of the gradients and of their squares, for each parameter in module order.
    /// Empty before the first step.
    pub moments: Vec<[Vec<f32>; 2]>,
}

/// Running means of the gradients and of their squares, flat, on the parameter's device.
#[derive(Clone, Debug)]
struct Moments {
    first: Tensor<1>,
    second: Tensor<1>,
}

impl AdamW {
    /// Creates an optimizer without state.
    pub fn new(settings: Settings) -> AdamW {
        AdamW { settings, steps: 0, moments: HashMap::new() }
    }

    /// Takes one step and returns the updated module. Parameters without a gradient do not change.
    ///
    /// Parameters are updated in place unless they are shared, so pass the module itself and not a
    /// clone.
    pub fn step<M: Module>(
        &mut self,
        learning_rate: f64,
        module: M,
        gradients: GradientsParams,
    ) -> M {
        self.steps += 1;
        let step = Step::new(self.settings, self.steps, learning_rate);
        module.map(&mut Update { step, gradients, moments: &mut self.moments })
    }

    /// Returns the state for the parameters of a module.
    pub fn state<M: Module>(&self, module: &M) -> State {
        let mut visit = Collect { known: &self.moments, moments: Vec::new() };
        module.visit(&mut visit);
        State { steps: self.steps, moments: visit.moments }
    }

    /// Restores the state that another optimizer had for the same parameters.
    ///
    /// # Errors
    /// The index of the first parameter without matching state: its length differs or it is
    /// missing. If there is too much state, the number of parameters.
    pub fn restore<M: Module>(&mut self, module: &M, state: State) -> Result<(), usize> {
        let mut visit = Distribute {
            moments: HashMap::new(),
            state: state.moments.into_iter(),
            at: 0,
            misfit: None,
        };
        module.visit(&mut visit);
        if let Some(at) = visit.misfit.or((visit.state.len() > 0).then_some(visit.at)) {
            return Err(at);
        }
        (self.steps, self.moments) = (state.steps, visit.moments);
        Ok(())
    }
}

/// Factors of one step.
#[derive(Clone, Copy, Debug)]
struct Step {
    betas: [f32; 2],
    /// Factor of a weight in the decay, 1 − learning rate · weight decay.
    kept: f32,
    /// Learning rate, corrected for the bias of the mean of the gradients.
    rate: f32,
    /// Reciprocal root of the bias correction of the mean of the squares.
    scale: f32,
    epsilon: f32,
}

impl Step {
    fn new(settings: Settings, steps: i32, learning_rate: f64) -> Step {
        let correction = settings.betas.map(|beta| 1.0 - beta.powi(steps));
        Step {
            betas: settings.betas.map(|beta| beta as f32),
            kept: (1.0 - learning_rate * settings.weight_decay) as f32,
            rate: (learning_rate / correction[0]) as f32,
            scale: (1.0 / correction[1].sqrt()) as f32,
            epsilon: settings.epsilon as f32,
        }
    }

    /// Updates slices in place in one pass, for the CPU backend.
    fn in_place(
        self,
        weights: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let chunks = weights.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
        chunks.zip(moments).for_each(|((weights, gradient), (first, second))| {
            vectorized(|| {
                let [fast, slow] = self.betas;
                let moments = first.iter_mut().zip(second);
                for ((weight, gradient), (first, second)) in
                    weights.iter_mut().zip(gradient).zip(moments)
                {
                    *first += (1.0 - fast) * (gradient - *first);
                    *second = slow * *second + (1.0 - slow) * gradient * gradient;
                    let root = second.sqrt() * self.scale + self.epsilon;
                    *weight = *weight * self.kept - self.rate * *first / root;
                }
            });
        });
    }

    /// Computes the step with tensor operations, for any other backend.
    fn with_burn_ops(
        self,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        moments: &mut Moments,
    ) -> Tensor<1> {
        let [fast, slow] = self.betas;
        let first = moments.first.clone();
        moments.first = first.clone() + (gradient.clone() - first).mul_scalar(1.0 - fast);
        moments.second = moments.second.clone().mul_scalar(slow)
            + (gradient.clone() * gradient).mul_scalar(1.0 - slow);
        let root = moments.second.clone().sqrt().mul_scalar(self.scale).add_scalar(self.epsilon);
        weights.mul_scalar(self.kept) - (moments.first.clone() / root).mul_scalar(self.rate)
    }
}

struct Update<'a> {
    step: Step,
    gradients: GradientsParams,
    moments: &'a mut HashMap<ParamId, Moments>,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let (id, value, mapper) = param.consume();
        let trained = value.is_require_grad();
        let (value, shape) = (value.inner(), gradient.shape());
        let count = [shape.num_elements()];
        let zeros = || Tensor::zeros(count, &value.device());
        let moments =
            self.moments.entry(id).or_insert_with(|| Moments { first: zeros(), second: zeros() });
        let updated = if is_host(&value) && is_host(&gradient) && is_host(&moments.first) {
            let nothing = Tensor::zeros([0], &value.device());
            let Moments { first, second } =
                std::mem::replace(moments, Moments { first: nothing.clone(), second: nothing });
            let [mut first, mut second] = [first, second].map(primitive);
            let (mut weights, gradient) = (primitive(value), primitive(gradient));
            let [weights_mut, first_mut, second_mut] =
                [&mut weights, &mut first, &mut second].map(FlexTensor::storage_mut);
            self.step.in_place(weights_mut, values(&gradient), first_mut, second_mut);
            let [first, second] = [first, second].map(Tensor::from_primitive::<Flex>);
            *moments = Moments { first, second };
            Tensor::from_primitive::<Flex>(weights)
        } else {
            let flat =
                self.step.with_burn_ops(value.reshape(count), gradient.reshape(count), moments);
            flat.reshape(shape)
        };
        let updated = Tensor::from_inner(updated).set_require_grad(trained);
        Param::from_mapped_value(id, updated, mapper)
    }
}

fn is_host<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor
        .clone()
        .try_into_primitive::<Flex>()
        .is_ok_and(|tensor| tensor.dtype() == burn::tensor::DType::F32)
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    packed(tensor.try_into_primitive::<Flex>().expect("BUG: tensor on another backend"))
}

struct Collect<'a> {
    known: &'a HashMap<ParamId, Moments>,
    moments: Vec<[Vec<f32>; 2]>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(Moments { first, second }) = self.known.get(&param.id) {
            let host = |tensor: &Tensor<1>| tensor.clone().into_data().iter::<f32>().collect();
            self.moments.push([first, second].map(host));
        }
    }
}

struct Distribute {
    moments: HashMap<ParamId, Moments>,
    state: std::vec::IntoIter<[Vec<f32>; 2]>,
    at: usize,
    misfit: Option<usize>,
}

impl ModuleVisitor for Distribute {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (count, device) = (param.shape().num_elements(), param.val().device().inner());
        match self.state.next() {
            Some(moments) if moments.iter().all(|values| values.len() == count) => {
                let [first, second] = moments
                    .map(|values| Tensor::from_data(TensorData::new(values, [count]), &device));
                self.moments.insert(param.id, Moments { first, second });
            }
            _ => self.misfit = self.misfit.or(Some(self.at)),
        }
        self.at += 1;
    }
}
