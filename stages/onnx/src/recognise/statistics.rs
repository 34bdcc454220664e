//! Recognises the operators of a classifier of statistics.

use inference::plan::{Affine, Linear, NO_ACTIVATION};
use inference::statistics::{Classifier, count};

use super::Reader;
use crate::graph::Graph;
use crate::proto::NodeProto;
use crate::statistics::{self, EPSILON, LINEAR, NORM};

/// Largest number of rows of a clip, for which no length can overflow.
const MAX_HEIGHT: usize = 1 << 16;

impl<'a> Reader<'a> {
    /// Reads a classifier of statistics if the operators begin with one, and returns it with the
    /// other operators; `None` if they begin with something similar.
    pub(super) fn statistics(
        &mut self,
        nodes: &'a [NodeProto],
        height: Option<usize>,
    ) -> Option<(Option<Classifier>, &'a [NodeProto])> {
        if !nodes.first().is_some_and(|node| node.name.starts_with("statistics.")) {
            return Some((None, nodes));
        }
        let rows = [self.plan.input.len(), height.filter(|height| *height <= MAX_HEIGHT)?];
        let mut graph = Graph::new("");
        statistics::add(&mut graph, rows);
        let (tensors, operators) = graph.parts();
        let (own, others) = nodes.split_at_checked(operators.len())?;
        let known = tensors
            .iter()
            .all(|tensor| self.constants.get(tensor.name.as_str()).copied() == Some(tensor));
        if own != operators || !known {
            return None;
        }
        for output in own.iter().flat_map(|node| &node.output) {
            self.names.insert(output).then_some(())?;
        }
        let linear = self.linear_of(LINEAR)?;
        let (count, classes) = (count(rows), linear.bias.len());
        let fits = linear.weight.len() == count * classes;
        let [weight, bias, mean, variance] = NORM.map(|name| self.per_channel(name, count));
        let (weight, bias, mean, variance) = (weight?, bias?, mean?, variance?);
        let map = |at: usize| {
            Affine::from_batch_norm(
                [weight[at], bias[at], mean[at], variance[at]],
                f64::from(EPSILON),
            )
        };
        let normalise: Vec<Affine> = (0..count).map(map).collect();
        let finite = normalise.iter().all(|map| map.factor.is_finite() && map.shift.is_finite());
        self.statistics = Some(classes);
        (fits && finite).then(|| (Some(Classifier::new(rows, normalise, linear)), others))
    }

    fn linear_of(&self, [weight, bias]: [&str; 2]) -> Option<Linear> {
        let ([_, classes], weight) = self.constant::<2>(weight)?;
        Some(Linear { weight, bias: self.per_channel(bias, classes)?, slope: NO_ACTIVATION })
    }
}
