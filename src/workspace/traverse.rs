//! Traverses nested folders level by level: from the top down, then back up. The folders of one
//! level are processed in parallel.
//!
//! Recursion is unsuitable: a rayon thread that waits for others runs further tasks on its own
//! stack, so the stack would grow with the depth and again with the branches of each level.

use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use crate::error::Result;
use crate::parallel;

/// Processes `top` and all folders below it, and returns the result for `top`.
///
/// `open` is called on the way down; it returns an intermediate value and the folders inside.
/// `close` is called on the way up with that value and the results of the folders inside, in their
/// order.
pub fn traverse<Folder: Send, Open: Send, Closed: Send>(
    top: Folder,
    open: impl Fn(Folder) -> Result<(Open, Vec<Folder>)> + Sync + Send,
    close: impl Fn(Open, Vec<Closed>) -> Result<Closed> + Sync + Send,
) -> Result<Closed> {
    let (whole, mut folders) = open(top)?;
    let mut levels = Vec::new();
    while !folders.is_empty() {
        let (mut level, mut inside) = (Vec::with_capacity(folders.len()), Vec::new());
        for (opened, folders) in par_map(folders, 1, &open)? {
            level.push((opened, folders.len()));
            inside.extend(folders);
        }
        levels.push(level);
        folders = inside;
    }
    let mut closed = Vec::new();
    for level in levels.into_iter().rev() {
        let mut inside = closed.into_iter();
        let level = level
            .into_iter()
            .map(|(opened, count)| (opened, inside.by_ref().take(count).collect()));
        closed = par_map(level.collect(), 1, |(opened, inside): (_, Vec<Closed>)| {
            close(opened, inside)
        })?;
    }
    close(whole, closed)
}

/// Processes `top` and all folders below it on the way down only; `open` returns the folders
/// inside.
pub fn visit<Folder: Send>(
    top: Folder,
    open: impl Fn(Folder) -> Result<Vec<Folder>> + Sync + Send,
) -> Result<()> {
    traverse(top, |folder| Ok(((), open(folder)?)), |(), _: Vec<()>| Ok(()))
}

/// Maps `items` in order, in parallel if there are more than `grain` of them.
///
/// Each parallel task gets at least `grain` items, because handing work to another thread costs
/// more than a few stats.
pub(super) fn par_map<T: Send, U: Send>(
    items: Vec<T>,
    grain: usize,
    map: impl Fn(T) -> Result<U> + Sync + Send,
) -> Result<Vec<U>> {
    if items.len() <= grain || !parallel::is_available() {
        return items.into_iter().map(map).collect();
    }
    items.into_par_iter().with_min_len(grain).map(map).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders a number as a folder that contains a folder for each smaller number.
    fn text(number: usize) -> String {
        let open = |number| Ok((number, (0..number).collect()));
        let close = |number, inside: Vec<String>| Ok(format!("{number}({})", inside.join(" ")));
        traverse(number, open, close).unwrap()
    }

    #[test]
    fn close_receives_results_of_subfolders() {
        assert_eq!(text(0), "0()");
        assert_eq!(text(3), "3(0() 1(0()) 2(0() 1(0())))");
    }

    #[test]
    fn depth_is_unlimited() {
        let open = |depth: usize| Ok(((), vec![depth - 1; usize::from(depth > 1)]));
        let depth = traverse(100_000, open, |(), inside| Ok(1 + inside.iter().sum::<usize>()));
        assert_eq!(depth.unwrap(), 100_000);
    }
}
