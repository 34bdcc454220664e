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
        let mut metrics = self.metric_names("metrics")?;
        metrics.extend(self.metric_names("series")?);
        metrics.sort_unstable();
        metrics.dedup();
        Ok(Known { metrics, params: self.keys("params")?, tags: self.keys("tags")? })
    }

    /// Jumps over stages, and within each stage over keys. A comparison of both columns at once,
    /// `(stage, key) > (…)`, would read all entries of a stage: SQLite uses the index for the first
    /// column only.
    fn metric_names(&self, table: &str) -> Result<Vec<MetricName>> {
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

    fn keys(&self, table: &str) -> Result<Vec<String>> {
        let sql = format!(
            "WITH RECURSIVE names (key) AS (
                 SELECT min(key) FROM {table}
                 UNION ALL
                 SELECT (SELECT min(next.key) FROM {table} AS next WHERE next.key > names.key)
                 FROM names WHERE key IS NOT NULL
             )
             SELECT key FROM names WHERE key IS NOT NULL"
        );
        self.query_all(&sql, (), |row| row.get(0))
    }
}
