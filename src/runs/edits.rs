//! Edits: what users change about a run after it was recorded, field by field, so that copies of
//! the run on several machines can be merged.
//!
//! # Mechanism
//!
//! Each edited field has a stamp: the time of the edit in milliseconds, or one more than the stamp
//! of the edit that it replaces, whichever is greater. So an edit that was made in the knowledge
//! of another has the greater stamp, whatever the clocks say. Of edits that were made
//! independently, the later one by the clocks wins. Equal stamps are decided by the values.
//!
//! `base` is the greatest stamp of the field that is known elsewhere. If both sides have edited
//! the field since, the value that is dropped is reported.
//!
//! # Invariants
//!
//! - The result does not depend on the order in which versions are merged, nor on how often.
//! - Fields are independent: edits of different tags never compete.
//! - A field without a stamp has the value of the record.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use rusqlite::OptionalExtension as _;
use serde_json::{Map, Value};

use super::record::Lifecycle;
use super::rows::signed;
use super::store::{Store, database_error};
use crate::clock::now_millis;
use crate::error::{Error, Result};
use crate::event::{RunName, Timestamp};

/// Maximum stamp, far from the limit of its type.
pub(super) const MAX_STAMP: i64 = 1 << 60;

/// A part of a run that is edited as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Name,
    Note,
    Lifecycle,
    Tag(String),
}

impl Field {
    pub(super) fn parse(text: &str) -> Option<Field> {
        match text {
            "name" => Some(Field::Name),
            "note" => Some(Field::Note),
            "lifecycle" => Some(Field::Lifecycle),
            _ => text.strip_prefix("tag:").map(|key| Field::Tag(key.to_owned())),
        }
    }

    /// Returns the column of `runs` that has the value; `None` for a tag.
    fn column(&self) -> Option<&'static str> {
        match self {
            Field::Name => Some("name"),
            Field::Note => Some("note"),
            Field::Lifecycle => Some("lifecycle"),
            Field::Tag(_) => None,
        }
    }

    /// Returns the name in the database: `note`, `tag:team`.
    pub fn text(&self) -> String {
        match (self.column(), self) {
            (None, Field::Tag(key)) => format!("tag:{key}"),
            (column, _) => column.unwrap_or_default().to_owned(),
        }
    }
}

/// Writes the field as a message names it: ``tag `team` ``.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Tag(key) => write!(f, "tag `{key}`"),
            Field::Lifecycle => f.write_str("deletion"),
            Field::Name | Field::Note => f.write_str(self.column().unwrap_or_default()),
        }
    }
}

/// The value of a field and the stamp of its edit. The order says which one wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stamped {
    at: i64,
    value: Option<String>,
}

/// The state of an edited field in this store.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mine {
    now: Stamped,
    base: i64,
}

/// A value that was dropped since the field was edited on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub field: Field,
    pub kept: Option<String>,
    pub dropped: Option<String>,
}

/// The changes by a merge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// The fields that have another value now.
    pub changed: Vec<Field>,
    pub conflicts: Vec<Conflict>,
    /// The name that the run does not get, since another run has it.
    pub lost_name: Option<String>,
}

/// Merges an edit from elsewhere; returns the new state, and the value that was dropped if both
/// sides have edited the field.
fn merge(mine: Mine, theirs: Stamped) -> (Mine, Option<Option<String>>) {
    let Mine { now, base } = mine;
    let differ = now.value != theirs.value;
    let (won, lost, is_conflict) = match theirs.cmp(&now) {
        Ordering::Equal => (now, None, false),
        Ordering::Greater => {
            let is_conflict = differ && now.at > base;
            (theirs.clone(), now.value, is_conflict)
        }
        Ordering::Less => (now, theirs.value, differ && theirs.at > base),
    };
    let base = base.max(theirs.at);
    (Mine { now: won, base }, is_conflict.then_some(lost))
}

impl Store {
    /// Notes that a field of a run is about to be edited by a user. The caller has begun a
    /// transaction. While a run is in progress, its fields are part of the record.
    pub(super) fn mark_edited(&self, run: RunName, field: &Field) -> Result<()> {
        let sql = "INSERT INTO edits (run, field, at)
                   SELECT number, ?2, ?3 FROM runs
                   WHERE number = ?1 AND status NOT IN ('running', 'scheduled')
                   ON CONFLICT DO UPDATE SET at = min(max(excluded.at, at + 1), ?4)";
        self.execute(sql, (signed(run), field.text(), now_millis(), MAX_STAMP)).map(drop)
    }

    /// Merges the edits of another copy of a run into this one.
    ///
    /// # Errors
    /// The copy has edits that this program never writes; the database cannot be written.
    pub(super) fn merge_edits(
        &self,
        run: RunName,
        theirs: BTreeMap<Field, (Timestamp, Option<String>)>,
    ) -> Result<Merged> {
        let mut merged = Merged::default();
        for (field, (at, value)) in theirs {
            let before = self.edited(run, &field)?;
            let was = before.now.clone();
            let (after, dropped) = merge(before, Stamped { at, value });
            if let Some(dropped) = dropped {
                let kept = after.now.value.clone();
                merged.conflicts.push(Conflict { field: field.clone(), kept, dropped });
            }
            self.stamp(run, &field, after.now.at, after.base)?;
            if after.now.value == was.value {
                continue;
            }
            let value = match after.now.value {
                Some(name) if field == Field::Name && self.is_name_of_other(run, &name)? => {
                    merged.lost_name = Some(name);
                    None
                }
                value => value,
            };
            if value != was.value {
                self.set_field(run, &field, value.as_deref())?;
                merged.changed.push(field);
            }
        }
        Ok(merged)
    }

    /// Notes that the value of a field with this stamp is known elsewhere.
    pub(super) fn note_known(&self, run: RunName, field: &Field, at: Timestamp) -> Result<()> {
        let sql = "UPDATE edits SET base = max(base, min(at, ?3)) WHERE run = ?1 AND field = ?2";
        self.execute(sql, (signed(run), field.text(), at)).map(drop)
    }

    fn edited(&self, run: RunName, field: &Field) -> Result<Mine> {
        let number = signed(run);
        let sql = "SELECT at, base FROM edits WHERE run = ?1 AND field = ?2";
        let stamps =
            self.query_one(sql, (number, field.text()), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (at, base) = stamps.unwrap_or((0, 0));
        let value = match (field, field.column()) {
            (Field::Tag(key), _) => {
                let sql = "SELECT value FROM tags WHERE run = ?1 AND key = ?2";
                self.query_one(sql, (number, key), |row| row.get(0))?
            }
            (_, column) => {
                let column = column.unwrap_or("NULL");
                let sql = format!("SELECT {column} FROM runs WHERE number = ?1");
                self.query_one(&sql, (number,), |row| row.get(0))?.flatten()
            }
        };
        Ok(Mine { now: Stamped { at, value }, base })
    }

    fn stamp(&self, run: RunName, field: &Field, at: i64, base: i64) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO edits (run, field, at, base) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, (signed(run), field.text(), at, base)).map(drop)
    }

    fn set_field(&self, run: RunName, field: &Field, value: Option<&str>) -> Result<()> {
        let number = signed(run);
        match (field, field.column(), value) {
            (Field::Tag(key), _, Some(value)) => {
                let sql = "INSERT OR REPLACE INTO tags (run, key, value) VALUES (?1, ?2, ?3)";
                self.execute(sql, (number, key, value))
            }
            (Field::Tag(key), _, None) => {
                self.execute("DELETE FROM tags WHERE run = ?1 AND key = ?2", (number, key))
            }
            (_, Some(column), value) => {
                let sql = format!("UPDATE runs SET {column} = ?2 WHERE number = ?1");
                self.execute(&sql, (number, value))
            }
            (_, None, _) => Ok(0),
        }
        .map(drop)
    }

    /// Reports whether another active run has the name.
    fn is_name_of_other(&self, run: RunName, name: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM runs WHERE name = ?1 AND number != ?2 AND lifecycle = 'active'";
        let found = self.conn.query_row(sql, (name, signed(run)), |_| Ok(())).optional();
        found.map(|found| found.is_some()).map_err(|err| database_error("read", err))
    }
}

/// Reads the edits of a run from its rows in a file or on a remote.
///
/// # Errors
/// They are not what this program writes.
pub(super) fn of_rows(
    run: &Map<String, Value>,
    edits: &[Map<String, Value>],
    tags: &[Map<String, Value>],
) -> Result<BTreeMap<Field, (Timestamp, Option<String>)>> {
    let invalid = || Error::usage("a run in the file is not valid: its edits are damaged");
    let text = |row: &Map<String, Value>, column: &str| match row.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid()),
    };
    let mut found = BTreeMap::new();
    for row in edits {
        let field = text(row, "field")?.and_then(|field| Field::parse(&field));
        let field = field.ok_or_else(invalid)?;
        let at = row.get("at").and_then(Value::as_i64);
        let at = at.filter(|at| (1..=MAX_STAMP).contains(at)).ok_or_else(invalid)?;
        let value = match (&field, field.column()) {
            (Field::Tag(key), _) => {
                let is_it =
                    |tag: &&Map<String, Value>| tag.get("key").and_then(Value::as_str) == Some(key);
                tags.iter().find(is_it).map_or(Ok(None), |tag| text(tag, "value"))?
            }
            (_, column) => text(run, column.unwrap_or_default())?,
        };
        let word = value.as_deref().and_then(Lifecycle::parse);
        if field == Field::Lifecycle && word.is_none() {
            return Err(invalid());
        }
        found.insert(field, (at, value));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamped(at: i64, value: &str) -> Stamped {
        Stamped { at, value: Some(value.to_owned()).filter(|value| !value.is_empty()) }
    }

    #[test]
    fn verdicts() {
        // The stamp and the value here, the base, those elsewhere; the winner and what is reported.
        for (mine, base, theirs, won, dropped) in [
            ((0, ""), 0, (5, "b"), "b", None),
            ((4, "a"), 4, (5, "b"), "b", None),
            ((4, "a"), 4, (4, "a"), "a", None),
            ((5, "a"), 4, (4, "old"), "a", None),
            ((5, "a"), 3, (4, "b"), "a", Some(Some("b"))),
            ((5, "a"), 4, (6, "b"), "b", Some(Some("a"))),
            ((5, "a"), 4, (6, "a"), "a", None),
            ((5, ""), 4, (6, "b"), "b", Some(None)),
            ((5, "a"), 4, (6, ""), "", Some(Some("a"))),
            ((5, "a"), 4, (5, "b"), "b", Some(Some("a"))),
        ] {
            let before = Mine { now: stamped(mine.0, mine.1), base };
            let (after, found) = merge(before, stamped(theirs.0, theirs.1));
            assert_eq!(after.now.value.as_deref().unwrap_or(""), won, "{mine:?} {theirs:?}");
            let found = found.map(|value| value.unwrap_or_default());
            assert_eq!(found, dropped.map(|value| value.unwrap_or("").to_owned()), "{mine:?}");
            assert!(after.base <= after.now.at && after.base >= base);
            // Nothing is reported again.
            let (again, found) = merge(after.clone(), stamped(theirs.0, theirs.1));
            assert_eq!((again, found), (after, None));
        }
    }

    #[test]
    fn fields_as_texts() {
        for field in [Field::Name, Field::Note, Field::Lifecycle, Field::Tag("tag:a".to_owned())] {
            assert_eq!(Field::parse(&field.text()), Some(field));
        }
        assert_eq!(Field::parse("status"), None);
    }

    proptest! {
        #[test]
        fn order_does_not_matter(
            edits in proptest::collection::vec((1..5i64, "[abc]?"), 1..6),
            seed in any::<u64>(),
        ) {
            let fold = |edits: &[(i64, String)]| {
                let first = Mine { now: stamped(0, ""), base: 0 };
                edits.iter().fold(first, |mine, (at, value)| merge(mine, stamped(*at, value)).0)
            };
            let mut shuffled = edits.clone();
            let by = |(at, value): &(i64, String)| blake3::hash(
                format!("{seed}{at}{value}").as_bytes()).to_hex().to_string();
            shuffled.sort_by_key(by);
            shuffled.extend(edits.clone());
            prop_assert_eq!(fold(&edits).now, fold(&shuffled).now);
        }
    }
}
