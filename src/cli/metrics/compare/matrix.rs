//! Metrics of the stages of a matrix: a table with a row for each variant.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::comparison::{change, fits, metrics_table, samples, verdict};
use crate::runs::compare::{Column, MetricRow};
use crate::terminal::table::{Align, Cell, Table};

/// The metrics of a matrix: rows by variant, then by name.
type Family<'r> = BTreeMap<&'r str, BTreeMap<&'r str, &'r MetricRow>>;

/// Returns one table of the metrics of single stages, and tables for each matrix with several
/// variants among `rows`.
pub(super) fn tables(columns: &[Column], rows: &[MetricRow]) -> Vec<Table> {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    for row in rows {
        if let Some((family, variant)) = row.stage.as_str().split_once('@') {
            let variants = families.entry(family).or_default();
            variants.entry(variant).or_default().insert(&row.name, row);
        }
    }
    families.retain(|_, variants| variants.len() > 1);
    let is_single = |row: &&MetricRow| {
        let family = row.stage.as_str().split_once('@').map(|(family, _)| family);
        family.is_none_or(|family| !families.contains_key(family))
    };
    let single = rows.iter().filter(is_single).map(|row| (row.key(), row));
    let single = metrics_table("metric", columns, single);
    let of_families = families.iter().flat_map(|(name, family)| tables_of(name, family, columns));
    std::iter::once(single).chain(of_families).filter(|table| !table.is_empty()).collect()
}

/// Returns one table with all metrics of a matrix, or one for each metric if that is too wide.
fn tables_of(family: &str, variants: &Family<'_>, columns: &[Column]) -> Vec<Table> {
    let names: BTreeSet<&str> = variants.values().flat_map(BTreeMap::keys).copied().collect();
    if names.len() > 1 {
        let whole = whole(family, variants, &names, columns);
        if fits(&whole) {
            return vec![whole];
        }
    }
    let of_metric = |name: &&str| {
        let rows = variants
            .iter()
            .filter_map(|(variant, rows)| Some(((*variant).to_owned(), *rows.get(name)?)));
        metrics_table(&format!("{family}@*.{name}"), columns, rows)
    };
    names.iter().map(of_metric).collect()
}

/// Returns a table in which the metrics are next to each other.
fn whole(family: &str, variants: &Family<'_>, names: &BTreeSet<&str>, columns: &[Column]) -> Table {
    let mut headings = vec![(format!("{family}@*"), Align::Left)];
    for name in names {
        let mut labels = columns.iter().map(|column| column.label.clone());
        headings.extend(labels.next().map(|label| (format!("{name} {label}"), Align::Decimal)));
        headings.extend(labels.map(|label| (label, Align::Decimal)));
        headings.extend([("change".to_owned(), Align::Decimal), (String::new(), Align::Left)]);
    }
    let mut table = Table::new(headings);
    for (variant, rows) in variants {
        let mut cells: Vec<Cell> = vec![(*variant).into()];
        for name in names {
            match rows.get(name) {
                Some(row) => {
                    cells.extend(samples(row, columns).into_iter().map(Cell::from));
                    cells.extend([change(row), verdict(row.verdict)]);
                }
                None => {
                    cells.extend(columns.iter().map(|_| "".into()).chain(["".into(), "".into()]));
                }
            }
        }
        table.row(cells);
    }
    table
}
