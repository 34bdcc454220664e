//! Params of the split.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::groups::Groups;

/// Params of the split, all from `[params.train]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SplitConfig {
    /// `train.split`: the split rule.
    pub rule: Rule,
    /// `train.val_size`: share of each class held out to choose the best epoch.
    pub val_size: f64,
    /// `train.folds`: number of cross-validation folds; 0 turns it off.
    pub folds: usize,
    /// `train.fold`: fold to test on, from 1.
    pub fold: usize,
    /// `train.groups`: clips that must stay together.
    pub groups: Groups,
}

/// Rule that assigns clips to parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Rule {
    /// Random by seed, with the same share of each class.
    #[default]
    Stratified,
    /// The published partition of GTZAN.
    FaultFiltered,
    /// The folders below the class folders: `train`, `val` and `test`.
    Folders,
    /// A CSV table `path,split`.
    Table(PathBuf),
}

impl From<String> for Rule {
    fn from(text: String) -> Rule {
        match text.as_str() {
            "stratified" => Rule::Stratified,
            "fault_filtered" => Rule::FaultFiltered,
            "folders" => Rule::Folders,
            _ => Rule::Table(text.into()),
        }
    }
}

impl SplitConfig {
    /// Checks that the values are valid and consistent.
    ///
    /// # Errors
    /// Names the first invalid param.
    pub fn check(&self) -> Result<()> {
        let SplitConfig { val_size, folds, fold, .. } = *self;
        ensure!(
            (0.0..1.0).contains(&val_size),
            "param `train.val_size` must be at least 0 and below 1, not {val_size}"
        );
        ensure!(
            folds != 1,
            "param `train.folds` must be 0 or at least 2, not 1: one fold leaves no training clips"
        );
        ensure!(
            folds == 0 || (1..=folds).contains(&fold),
            "param `train.fold` must be from 1 to `train.folds`, {folds}, not {fold}"
        );
        if self.rule != Rule::Stratified {
            ensure!(
                folds == 0,
                "param `train.folds`: only `train.split` = `stratified` supports folds"
            );
            ensure!(
                self.groups == Groups::EachClip,
                "param `train.groups`: only `train.split` = `stratified` supports groups"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_params_are_named() {
        let good = || SplitConfig { val_size: 0.4, ..SplitConfig::default() };
        good().check().unwrap();
        SplitConfig { folds: 5, fold: 5, ..good() }.check().unwrap();
        for (key, config) in [
            ("val_size", SplitConfig { val_size: -0.1, ..good() }),
            ("val_size", SplitConfig { val_size: 1.0, ..good() }),
            ("val_size", SplitConfig { val_size: f64::NAN, ..good() }),
            ("folds", SplitConfig { folds: 1, fold: 1, ..good() }),
            ("fold", SplitConfig { folds: 5, fold: 0, ..good() }),
            ("fold", SplitConfig { folds: 5, fold: 6, ..good() }),
            ("folds", SplitConfig { folds: 5, fold: 1, rule: Rule::FaultFiltered, ..good() }),
            (
                "groups",
                SplitConfig {
                    rule: Rule::FaultFiltered,
                    groups: Groups::Table("a.csv".into()),
                    ..good()
                },
            ),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("param `train.{key}`")), "{error}");
        }
    }

    #[test]
    fn rule_parsing() {
        for (text, rule) in [
            ("stratified", Rule::Stratified),
            ("fault_filtered", Rule::FaultFiltered),
            ("splits/mine.csv", Rule::Table("splits/mine.csv".into())),
        ] {
            assert_eq!(Rule::from(text.to_owned()), rule);
        }
    }
}
