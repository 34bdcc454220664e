//! Changes what users say about runs: tags, notes, names, and deletion, which can be undone.

use std::collections::BTreeMap;

use super::edits::Field;
use super::record::Lifecycle;
use super::rows::{run_name, signed};
use super::store::Store;
use crate::error::{Error, Result};
use crate::event::RunName;

/// Words that stand for other runs wherever a run is named.
const RESERVED: [&str; 3] = ["latest", "last", "HEAD"];

impl Store {
    /// Sets tags of a run, and removes others.
    ///
    /// # Errors
    /// The run has no tag of a name to remove; the database cannot be written.
    pub fn tag(
        &self,
        run: RunName,
        set: &BTreeMap<String, String>,
        remove: &[String],
    ) -> Result<()> {
        let number = signed(run);
        self.atomically(|store| {
            for key in remove.iter().chain(set.keys()) {
                store.mark_edited(run, &Field::Tag(key.clone()))?;
            }
            for key in remove {
                let sql = "DELETE FROM tags WHERE run = ?1 AND key = ?2";
                if store.execute(sql, (number, key))? == 0 {
                    return Err(Error::usage(format!("{run} has no tag `{key}`")));
                }
            }
            for (key, value) in set {
                let sql = "INSERT OR REPLACE INTO tags (run, key, value) VALUES (?1, ?2, ?3)";
                store.execute(sql, (number, key, value))?;
            }
            Ok(())
        })
    }

    /// Replaces the note of a run; an empty one is none.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set_note(&self, run: RunName, note: &str) -> Result<()> {
        let note = Some(note).filter(|note| !note.is_empty());
        self.atomically(|store| {
            store.mark_edited(run, &Field::Note)?;
            let sql = "UPDATE runs SET note = ?2 WHERE number = ?1";
            store.execute(sql, (signed(run), note)).map(drop)
        })
    }

    /// Gives a run a name; `None` takes it away.
    ///
    /// # Errors
    /// The name means something else, or another run has it; the database cannot be written.
    pub fn rename(&self, run: RunName, name: Option<&str>) -> Result<()> {
        name.map_or(Ok(()), check_name)?;
        self.atomically(|store| {
            let sql = "SELECT number FROM runs
                       WHERE name = ?1 AND number != ?2 AND lifecycle = 'active'";
            let other = store.query_one(sql, (name, signed(run)), run_name)?;
            if let (Some(other), Some(name)) = (other, name) {
                let error = Error::usage(format!("{other} has the name `{name}`"));
                let hint = format!("`repro runs rename {other} NEW` gives it another one");
                return Err(error.hint(hint));
            }
            store.mark_edited(run, &Field::Name)?;
            let sql = "UPDATE runs SET name = ?2 WHERE number = ?1";
            store.execute(sql, (signed(run), name)).map(drop)
        })
    }

    /// Marks a run and all runs below it as deleted, or brings them back. Returns their number.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set_lifecycle(&self, run: RunName, lifecycle: Lifecycle) -> Result<usize> {
        const SQL: &str = "
            WITH RECURSIVE below (uid) AS (
                SELECT uid FROM runs WHERE number = ?1
                UNION
                SELECT runs.uid FROM runs JOIN below ON runs.parent = below.uid
            )
            SELECT number FROM runs
            WHERE uid IN (SELECT uid FROM below) AND lifecycle != ?2";
        self.atomically(|store| {
            let changed = store.query_all(SQL, (signed(run), lifecycle.word()), run_name)?;
            for run in &changed {
                store.set_lifecycle_alone(*run, lifecycle)?;
            }
            Ok(changed.len())
        })
    }
}

/// Checks that a name means nothing else where a run is named.
fn check_name(name: &str) -> Result<()> {
    let refused = |what: &str| {
        Err(Error::usage(format!("`{name}` cannot name a run: {what}"))
            .hint("choose a name such as `wide-network`"))
    };
    match name {
        "" => refused("it is empty"),
        _ if name.len() > MAX_NAME => refused(&format!("it is longer than {MAX_NAME} bytes")),
        _ if RunName::parse(name).is_some() => refused("it is the number of a run"),
        _ if RESERVED.contains(&name) => refused("it stands for another run"),
        _ if name.contains(':') => refused("it contains `:`, as in `best:METRIC` and `RUN:PATH`"),
        _ if name.starts_with('-') => refused("it begins like an option"),
        _ if name.trim() != name => refused("it begins or ends with white space"),
        _ => Ok(()),
    }
}

const MAX_NAME: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else() {
        for name in ["wide network", "a/b", "runs", "日本", "beef", "run-x", "\u{9b}31m"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "x".repeat(251);
        for name in ["", "12", "run-3", "latest", "last", "best:acc", "-x", " a", &long] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
