//! Reads the names of all metrics, params and tags by jumping from name to name in an index.

use crate::error::Result;
use crate::filter::{Known, MetricName};
use crate::runs::store::Store;

impl Store {
    /// Returns the names of all metrics, params and tags of all runs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn known(&self) -> Result<Known> {
        let mut metrics = self.names_by_stage("metrics")?;
        metrics.extend(self.names_by_stage("series")?);
        metrics.sort_unstable();
        metrics.dedup();
        let params = self.names_by_stage("params")?;
        let mut params: Vec<String> = params.iter().map(MetricName::full).collect();
        params.sort_unstable();
        params.dedup();
        Ok(Known { metrics, params, tags: self.tag_keys()? })
    }

    /// Jumps over stages, and within each stage over keys. A comparison of both columns at once,
    /// `(stage, key) > (…)`, would read all entries of a stage: SQLite uses the index for the first
    /// column only.
    fn names_by_stage(&self, table: &str) -> Result<Vec<MetricName>> {
        let sql = format!(
            "WITH RECURSIVE
             stages (stage) AS (
                 SELECT min(stage) FROM {table}
                 UNION ALL
                 SELECT (SELECT min(next.stage) FROM {table} AS next
                         WHERE next.stage > stages.stage)
                 FROM stages WHERE stage IS NOT NULL
             ),
             names (stage, key) AS (
                 SELECT stage, (SELECT min(key) FROM {table} AS first
                                WHERE first.stage = stages.stage)
                 FROM stages WHERE stage IS NOT NULL
                 UNION ALL
                 SELECT stage, (SELECT min(next.key) FROM {table} AS next
                                WHERE next.stage = names.stage AND next.key > names.key)
                 FROM names WHERE key IS NOT NULL
             )
             SELECT stage, key FROM names WHERE key IS NOT NULL"
        );
        self.query_all(&sql, (), |row| Ok(MetricName { stage: row.get(0)?, key: row.get(1)? }))
    }

    fn tag_keys(&self) -> Result<Vec<String>> {
        let sql = "WITH RECURSIVE names (key) AS (
                       SELECT min(key) FROM tags
                       UNION ALL
                       SELECT (SELECT min(next.key) FROM tags AS next WHERE next.key > names.key)
                       FROM names WHERE key IS NOT NULL
                   )
                   SELECT key FROM names WHERE key IS NOT NULL";
        self.query_all(sql, (), |row| row.get(0))
    }
}
