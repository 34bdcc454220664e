//! Records with which remote each run was shared, and in which version. Does not know about
//! remotes; they are named by a text.
//!
//! A *version* is a copy of a run on a remote, named by its digest. Versions never change; a run
//! that is edited gets a new one. The table `versions` lists those whose edits are part of the
//! rows, so none is read twice. The table `shared` lists the state of each run when it was last
//! equal to the remote's; a run in the same state need not be sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use rusqlite::Row;

use super::edits::Merged;
use super::folders::take_number_above;
use super::liveness::is_alive;
use super::rows::{run_name, signed, uid, unsigned};
use super::store::{Store, database_error};
use super::transfer::{Arriving, Rows};
use super::write::end_dead_runs;
use crate::digest::Digest;
use crate::error::Result;
use crate::event::{RunKind, RunName, RunUid};

/// The state of a run, as far as it takes to notice a change without reading all its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Changes if another program goes on with the run.
    record: String,
    edits: String,
}

/// A run that may be shared.
#[derive(Debug, Clone)]
pub struct Shareable {
    pub run: RunName,
    pub uid: RunUid,
    pub is_running: bool,
    pub is_deleted: bool,
    pub state: State,
    /// The state when it was last equal to that of the remote, and the version there.
    pub shared: Option<(State, String)>,
}

/// A version of a run that arrives from a remote.
#[derive(Debug)]
pub struct Version<'a> {
    pub digest: &'a Digest,
    pub rows: &'a Rows,
}

const STATES: &str = "
    SELECT number, uid, lifecycle, status, kind,
        concat_ws(' ', status, ended,
            (SELECT count(*) FROM params WHERE run = number),
            (SELECT count(*) FROM metrics WHERE run = number),
            (SELECT sum(count) FROM series WHERE run = number),
            (SELECT count(*) FROM artifacts WHERE run = number),
            (SELECT count(*) FROM run_inputs WHERE run = number),
            (SELECT count(*) FROM models WHERE run = number),
            (SELECT count(*) FROM run_models WHERE run = number),
            (SELECT count(*) FROM model_metrics WHERE run = number)) AS record,
        (SELECT concat_ws(' ', count(*), sum(at)) FROM edits WHERE run = number) AS edits,
        shared.record AS shared_record, shared.edits AS shared_edits, version
    FROM runs LEFT JOIN shared ON shared.run = number AND remote = ?1
    ORDER BY number";

impl Store {
    /// Returns all runs, with what is known of their copies on a remote.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn shareable(&self, remote: &str) -> Result<Vec<Shareable>> {
        end_dead_runs(&self.conn, &self.root).map_err(|err| database_error("write", err))?;
        let read = |row: &Row<'_>| {
            let run = run_name(row)?;
            let shared: Option<String> = row.get("shared_record")?;
            let shared = match shared {
                None => None,
                Some(record) => {
                    let state = State { record, edits: row.get("shared_edits")? };
                    Some((state, row.get("version")?))
                }
            };
            let (status, kind): (String, String) = (row.get("status")?, row.get("kind")?);
            let is_running = status == "running"
                && (kind == RunKind::External.word() || is_alive(&self.root, run));
            let lifecycle: String = row.get("lifecycle")?;
            let state = State { record: row.get("record")?, edits: row.get("edits")? };
            let text: String = row.get("uid")?;
            let is_deleted = lifecycle != "active";
            Ok(uid(&text).map(|uid| Shareable { run, uid, is_running, is_deleted, state, shared }))
        };
        self.query_all(STATES, (remote,), read)?.into_iter().collect()
    }

    /// Returns the versions that are part of the rows.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn versions(&self) -> Result<BTreeSet<String>> {
        let all = self.query_all("SELECT version FROM versions", (), |row| row.get(0))?;
        Ok(all.into_iter().collect())
    }

    /// Notes that a remote has this state of a run, which was sent as `version`.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set_shared(
        &self,
        remote: &str,
        run: RunName,
        state: &State,
        version: &Version<'_>,
    ) -> Result<()> {
        self.atomically(|store| {
            for (field, (at, _)) in version.rows.edits()? {
                store.note_known(run, &field, at)?;
            }
            store.add_version(run, version.digest)?;
            let sql = "INSERT OR REPLACE INTO shared (remote, run, record, edits, version)
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let number = signed(run);
            let version = version.digest.to_string();
            store.execute(sql, (remote, number, &state.record, &state.edits, version)).map(drop)
        })
    }

    /// Takes the number of a run that arrives, and creates its folder.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn take_number(&self) -> Result<RunName> {
        Ok(take_number_above(&self.root, self.highest()?))
    }

    fn add_version(&self, run: RunName, version: &Digest) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO versions (version, run) VALUES (?1, ?2)";
        self.execute(sql, (version.to_string(), signed(run))).map(drop)
    }

    /// Inserts a run from a remote, unless it has come meanwhile. Returns the name that it lost to
    /// another run, or `None` if it was not inserted.
    ///
    /// # Errors
    /// Its rows have values that this program never writes; the database cannot be written.
    pub fn insert_shared<R: BufRead>(
        &self,
        arriving: Arriving<'_, R>,
        version: &Digest,
    ) -> Result<Option<Option<String>>> {
        let (run, rows) = (arriving.number, arriving.rows);
        let in_use = self.names_in_use(rows.name().into_iter())?;
        if !self.insert_unknown(arriving, &in_use)? {
            return Ok(None);
        }
        self.add_version(run, version)?;
        Ok(Some(rows.name().filter(|name| in_use.contains(name)).map(str::to_owned)))
    }

    /// Merges versions of a run that is known here.
    ///
    /// # Errors
    /// A version has edits that this program never writes; the database cannot be written.
    pub fn merge<'a>(
        &self,
        run: RunName,
        versions: impl IntoIterator<Item = Version<'a>>,
    ) -> Result<Merged> {
        self.atomically(|store| {
            let mut all = Merged::default();
            for Version { digest, rows } in versions {
                let merged = store.merge_edits(run, rows.edits()?)?;
                all.changed.extend(merged.changed);
                all.conflicts.extend(merged.conflicts);
                all.lost_name = merged.lost_name.or(all.lost_name);
                store.add_version(run, digest)?;
            }
            Ok(all)
        })
    }

    /// Returns the runs that have edits which no other copy is known to have.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn unshared_edits(&self) -> Result<BTreeMap<RunName, u64>> {
        let sql = "SELECT run, count(*) FROM edits WHERE at > base GROUP BY run";
        let read = |row: &Row<'_>| Ok((run_name(row)?, unsigned(row.get(1)?)));
        Ok(self.query_all(sql, (), read)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::runs::tests::finished;
    use crate::runs::{Field, Lifecycle};

    const RUN: RunName = RunName(2);
    const COPY: RunName = RunName(5);

    /// Two stores, the second with a copy of run 2 of the first.
    fn two() -> [(tempfile::TempDir, Store); 2] {
        let dirs = [finished(), tempfile::tempdir().unwrap()];
        let stores = dirs.map(|dir| {
            let store = Store::open(dir.path(), Duration::ZERO).unwrap();
            (dir, store)
        });
        let rows = stores[0].1.rows(RUN).unwrap();
        let run = Arriving { number: COPY, rows: &rows, points: None::<&[u8]> };
        assert_eq!(stores[1].1.insert_shared(run, &Digest::of(b"0")).unwrap(), Some(None));
        stores
    }

    fn tag(store: &Store, run: RunName, key: &str, value: &str) {
        store.tag(run, &BTreeMap::from([(key.to_owned(), value.to_owned())]), &[]).unwrap();
    }

    /// Takes the version of a run in `from` to its copy in `to`, by way of a remote.
    fn merge(from: (&Store, RunName), to: (&Store, RunName)) -> Merged {
        let rows = from.0.rows(from.1).unwrap();
        let digest = Digest::of(serde_json::to_string(&rows).unwrap().as_bytes());
        let version = Version { digest: &digest, rows: &rows };
        let state = from.0.shareable("r").unwrap().into_iter().find(|one| one.run == from.1);
        from.0.set_shared("r", from.1, &state.unwrap().state, &version).unwrap();
        to.0.merge(to.1, [version]).unwrap()
    }

    #[test]
    fn both_sides_keep_edits() {
        let [(_a, a), (_b, b)] = two();
        tag(&a, RUN, "team", "audio");
        tag(&b, COPY, "quality", "good");
        b.set_note(COPY, "a note").unwrap();
        b.set_lifecycle(COPY, Lifecycle::Deleted).unwrap();
        let merged = merge((&a, RUN), (&b, COPY));
        assert_eq!(merged.changed, [Field::Tag("team".into())]);
        assert_eq!(merged.conflicts, []);
        let merged = merge((&b, COPY), (&a, RUN));
        assert_eq!(merged.changed, [Field::Note, Field::Lifecycle, Field::Tag("quality".into())]);
        for (store, run) in [(&a, RUN), (&b, COPY)] {
            let run = store.run(run).unwrap();
            assert_eq!(run.tags.len(), 2);
            assert_eq!((run.note.as_deref(), run.lifecycle), (Some("a note"), Lifecycle::Deleted));
        }
        assert_eq!(merge((&a, RUN), (&b, COPY)), Merged::default());
    }

    #[test]
    fn later_edit_wins() {
        let [(_a, a), (_b, b)] = two();
        tag(&a, RUN, "team", "audio");
        merge((&a, RUN), (&b, COPY));
        tag(&b, COPY, "team", "video");
        // An edit that knows the other wins without a word, and a removal is an edit.
        let merged = merge((&b, COPY), (&a, RUN));
        assert_eq!((merged.changed.len(), merged.conflicts), (1, Vec::new()));
        assert_eq!(a.tags(RUN).unwrap()["team"], "video");
        a.tag(RUN, &BTreeMap::new(), &["team".into()]).unwrap();
        merge((&a, RUN), (&b, COPY));
        assert_eq!(b.tags(COPY).unwrap(), BTreeMap::new());
        // Two edits that do not know of each other: the later one wins, and the other is reported.
        tag(&a, RUN, "team", "first");
        tag(&b, COPY, "team", "second");
        let to_b = merge((&a, RUN), (&b, COPY));
        assert_eq!(to_b.conflicts.len(), 1);
        merge((&b, COPY), (&a, RUN));
        assert_eq!(a.tags(RUN).unwrap(), b.tags(COPY).unwrap());
    }

    #[test]
    fn used_name_is_lost() {
        let [(_a, a), (_b, b)] = two();
        let mut rows = a.rows(RunName(1)).unwrap();
        let other = Arriving { number: RunName(6), rows: &rows, points: None::<&[u8]> };
        b.insert_shared(other, &Digest::of(b"1")).unwrap();
        b.rename(RunName(6), Some("best")).unwrap();
        a.rename(RUN, Some("best")).unwrap();
        let merged = merge((&a, RUN), (&b, COPY));
        assert_eq!((merged.lost_name.as_deref(), merged.changed.len()), (Some("best"), 0));
        assert_eq!(b.run(COPY).unwrap().info.name, None);
        // The name stays where it was given.
        merge((&b, COPY), (&a, RUN));
        assert_eq!(a.run(RUN).unwrap().info.name.as_deref(), Some("best"));
        // A run that arrives loses it, too.
        rows = a.rows(RUN).unwrap();
        b.conn.execute("DELETE FROM runs WHERE number = 5", ()).unwrap();
        let again = Arriving { number: RunName(7), rows: &rows, points: None::<&[u8]> };
        let lost = b.insert_shared(again, &Digest::of(b"2")).unwrap();
        assert_eq!(lost, Some(Some("best".to_owned())));
        // A run that has come meanwhile is not inserted again.
        let again = Arriving { number: RunName(8), rows: &rows, points: None::<&[u8]> };
        assert_eq!(b.insert_shared(again, &Digest::of(b"2")).unwrap(), None);
    }

    #[test]
    fn shared_state() {
        let [(_a, a), _] = two();
        let of = |remote: &str| a.shareable(remote).unwrap().remove(1);
        let rows = a.rows(RUN).unwrap();
        let version = Version { digest: &Digest::of(b"v"), rows: &rows };
        let before = of("r");
        assert_eq!((before.run, before.is_running, before.shared), (RUN, false, None));
        a.set_shared("r", RUN, &before.state, &version).unwrap();
        let is_shared =
            |remote| of(remote).shared.is_some_and(|(state, _)| state == of(remote).state);
        assert!(is_shared("r") && !is_shared("s"));
        assert!(a.versions().unwrap().contains(&Digest::of(b"v").to_string()));
        tag(&a, RUN, "team", "audio");
        assert!(!is_shared("r"));
        assert_eq!(a.unshared_edits().unwrap(), BTreeMap::from([(RUN, 1)]));
        let rows = a.rows(RUN).unwrap();
        let version = Version { digest: &Digest::of(b"w"), rows: &rows };
        a.set_shared("r", RUN, &of("r").state, &version).unwrap();
        assert!(is_shared("r"));
        assert_eq!(a.unshared_edits().unwrap(), BTreeMap::new());
        // Another program goes on with the run.
        let more = "INSERT INTO params (run, key, value) VALUES (2, 'late', '1')";
        a.conn.execute(more, ()).unwrap();
        assert!(!is_shared("r"));
    }

    #[test]
    fn hostile_edits_are_refused() {
        let [(_a, a), (_b, b)] = two();
        tag(&a, RUN, "team", "audio");
        let text = serde_json::to_string(&a.rows(RUN).unwrap()).unwrap();
        for (from, to) in [
            ("\"field\":\"tag:team\"", "\"field\":\"status\""),
            ("\"field\":\"tag:team\"", "\"field\":7"),
            ("\"at\":1", "\"at\":-1"),
            ("\"at\":1", "\"at\":99999999999999999"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text);
            let rows: Rows = serde_json::from_str(&bad).unwrap();
            let version = Version { digest: &Digest::of(b"bad"), rows: &rows };
            assert!(b.merge(COPY, [version]).is_err(), "{to}");
        }
    }
}
