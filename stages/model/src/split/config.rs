//! What a user can say about the split. Knows nothing about clips.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::groups::Groups;

/// The params of the split, which all stand in `[params.train]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SplitConfig {
    /// `train.split`: who decides.
    pub rule: Rule,
    /// `train.val_size`: the share of each class that is held out to choose the best epoch.
    pub val_size: f64,
    /// `train.folds`: with how many folds to cross-validate; 0 for none.
    pub folds: usize,
    /// `train.fold`: the fold that is tested, from 1.
    pub fold: usize,
    /// `train.groups`: which clips stay together.
    pub groups: Groups,
}

/// Who decides about a clip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Rule {
    /// The seed, with the same share of each class.
    #[default]
    Stratified,
    /// The published partition of GTZAN.
    FaultFiltered,
    /// A table `path,split`.
    Table(PathBuf),
}

impl From<String> for Rule {
    fn from(text: String) -> Rule {
        match text.as_str() {
            "stratified" => Rule::Stratified,
            "fault_filtered" => Rule::FaultFiltered,
            _ => Rule::Table(text.into()),
        }
    }
}

impl SplitConfig {
    /// Whether the values make sense together.
    ///
    /// # Errors
    /// Names the first param that does not.
    pub fn check(&self) -> Result<()> {
        let SplitConfig { val_size, folds, fold, .. } = *self;
        ensure!(
            (0.0..1.0).contains(&val_size),
            "param `train.val_size`: {val_size} is not from 0 to 1, without 1"
        );
        ensure!(
            folds != 1,
            "param `train.folds`: 1 fold leaves nothing to train with; 2 is the least, 0 is none"
        );
        ensure!(
            folds == 0 || (1..=folds).contains(&fold),
            "param `train.fold`: {fold} is not from 1 to `train.folds`, {folds}"
        );
        if self.rule != Rule::Stratified {
            ensure!(folds == 0, "param `train.folds`: only `train.split` = `stratified` has folds");
            ensure!(
                self.groups == Groups::EachClip,
                "param `train.groups`: only `train.split` = `stratified` asks for groups"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
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
            assert!(error.starts_with(&format!("param `train.{key}`: ")), "{error}");
        }
    }

    #[test]
    fn a_rule_is_a_word_or_a_table() {
        for (text, rule) in [
            ("stratified", Rule::Stratified),
            ("fault_filtered", Rule::FaultFiltered),
            ("splits/mine.csv", Rule::Table("splits/mine.csv".into())),
        ] {
            assert_eq!(Rule::from(text.to_owned()), rule);
        }
    }
}
