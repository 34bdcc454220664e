//! Folders in folders, worked on level by level: down from the top, then up again, those of one level side by side. Knows nothing of
//! what the work is.
//!
//! Not by recursion: a thread that waits for others takes up more work meanwhile, on top of what is on its stack already, so with
//! folders nested deeply that would grow with the levels and once more with the branches on each.

use super::par_map;
use crate::error::Result;

/// Works through all folders at and below `top`. `open` takes a folder and gives what is known of it so far, and the folders in it; `close`
/// takes that, with what became of those, in their order.
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
        closed =
            par_map(level.collect(), 1, |(opened, inside): (_, Vec<Closed>)| close(opened, inside))?;
    }
    close(whole, closed)
}

/// The way down alone: `open` gives the folders in a folder.
pub fn visit<Folder: Send>(
    top: Folder,
    open: impl Fn(Folder) -> Result<Vec<Folder>> + Sync + Send,
) -> Result<()> {
    traverse(top, |folder| Ok(((), open(folder)?)), |(), _: Vec<()>| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number stands for a folder with all smaller ones in it.
    fn text(number: usize) -> String {
        let open = |number| Ok((number, (0..number).collect()));
        let close = |number, inside: Vec<String>| Ok(format!("{number}({})", inside.join(" ")));
        traverse(number, open, close).unwrap()
    }

    #[test]
    fn each_folder_gets_what_became_of_those_in_it() {
        assert_eq!(text(0), "0()");
        assert_eq!(text(3), "3(0() 1(0()) 2(0() 1(0())))");
    }

    #[test]
    fn there_is_no_depth_that_is_too_much() {
        let open = |depth: usize| Ok(((), vec![depth - 1; usize::from(depth > 1)]));
        let depth = traverse(100_000, open, |(), inside| Ok(1 + inside.iter().sum::<usize>()));
        assert_eq!(depth.unwrap(), 100_000);
    }
}
