//! A data set of spectrograms in memory.
//!
//! A clip is one `.npy` file; its label is the name of its class folder.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use kit::files;

/// One spectrogram file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clip {
    /// Path relative to the folder of spectrograms, with `/`.
    pub path: String,
    /// Class, as an index into the labels.
    pub label: usize,
}

/// Clips of one height with their values. They may differ in width, which is time.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Names of the classes.
    pub labels: Vec<String>,
    /// Clips, in the order of their values.
    pub clips: Vec<Clip>,
    /// Channels and height of every clip.
    pub rows: [usize; 2],
    /// Start of each clip in `values`, then the end of the last clip.
    starts: Vec<usize>,
    /// Values of all clips, each in C order.
    values: Vec<f32>,
}

impl Dataset {
    /// Reads all `.npy` files in a folder of class folders. Classes are sorted by name.
    ///
    /// # Errors
    /// The folder does not exist or has no clips; also the errors of [`Dataset::read`].
    pub fn load(root: impl AsRef<Path>) -> Result<Dataset> {
        let root = root.as_ref();
        let found = files::class_files(root, |path| files::has_extension(path, &["npy"]))?;
        let mut labels: Vec<String> = found.iter().map(|file| file.label.clone()).collect();
        labels.dedup();
        let mut clips = Vec::with_capacity(found.len());
        for file in found {
            let inside = file.path.strip_prefix(root).unwrap_or(&file.path);
            let path = inside.to_str().with_context(|| {
                format!("`{}` is not valid UTF-8: rename it", file.path.display())
            })?;
            let label = labels.iter().position(|label| *label == file.label).unwrap_or_default();
            clips.push(Clip { path: path.to_owned(), label });
        }
        ensure!(!clips.is_empty(), "no `.npy` file in the class folders of `{}`", root.display());
        Dataset::read(root, labels, clips)
    }

    /// Reads the given clips.
    ///
    /// # Errors
    /// `clips` is empty, or a file is missing, is empty, is not a spectrogram, differs from the
    /// first in channels or height, or contains a value that is not finite. The message names the
    /// file.
    pub fn read(root: impl AsRef<Path>, labels: Vec<String>, clips: Vec<Clip>) -> Result<Dataset> {
        let root = root.as_ref();
        let mut rows = None;
        let mut starts = vec![0];
        let mut values = Vec::new();
        for clip in &clips {
            let path = root.join(&clip.path);
            let array = kit::npy::read(&path)?;
            let [channels, height, _] =
                image_shape(&array.shape).with_context(|| format!("`{}`", path.display()))?;
            ensure!(!array.data.is_empty(), "`{}` is empty", path.display());
            let expected = *rows.get_or_insert([channels, height]);
            if [channels, height] != expected {
                bail!(
                    "`{}` has {channels} × {height} rows, but `{}` has {} × {}: \
                     all spectrograms must have the same height",
                    path.display(),
                    root.join(&clips[0].path).display(),
                    expected[0],
                    expected[1],
                );
            }
            if let Some(value) = array.data.iter().find(|value| !value.is_finite()) {
                bail!("`{}` contains {value}; all values must be finite", path.display());
            }
            values.extend_from_slice(&array.data);
            starts.push(values.len());
        }
        let rows = rows.context("there are no clips to read")?;
        Ok(Dataset { labels, clips, rows, starts, values })
    }

    /// Returns channels, height and width, which must be the same for all clips.
    ///
    /// # Errors
    /// Two clips differ in width. The message names them.
    pub fn uniform_shape(&self) -> Result<[usize; 3]> {
        let width = self.width(0);
        if let Some(other) = (0..self.clips.len()).find(|clip| self.width(*clip) != width) {
            bail!(
                "`{}` has {} frames, but `{}` has {width}: set `spectrogram.seconds`, \
                 or `train.model` = `resnet` and `train.augment.crop`, which accept any length",
                self.clips[other].path,
                self.width(other),
                self.clips[0].path
            );
        }
        Ok([self.rows[0], self.rows[1], width])
    }

    /// Returns the width of one clip, in frames.
    ///
    /// # Panics
    /// If `index` is out of range.
    pub fn width(&self, index: usize) -> usize {
        self.image(index).len() / self.rows.iter().product::<usize>()
    }

    /// Splits `indices` into the longest runs of clips of equal width, of at most `size` clips
    /// each.
    pub fn batches<'a>(
        &'a self,
        indices: &'a [usize],
        size: usize,
    ) -> impl Iterator<Item = &'a [usize]> {
        let same_width = |one: &usize, other: &usize| self.width(*one) == self.width(*other);
        indices.chunk_by(same_width).flat_map(move |run| run.chunks(size))
    }

    /// Returns the values in C order of clips of one width, and their shape
    /// `[N, channels, height, width]`.
    ///
    /// # Panics
    /// If `indices` is empty or an index is out of range.
    pub fn values(&self, indices: &[usize]) -> (Vec<f32>, [usize; 4]) {
        let [channels, height] = self.rows;
        let shape = [indices.len(), channels, height, self.width(indices[0])];
        let mut values = Vec::with_capacity(shape.iter().product());
        for index in indices {
            values.extend_from_slice(self.image(*index));
        }
        (values, shape)
    }

    /// Returns the values of one clip, in C order.
    ///
    /// # Panics
    /// If `index` is out of range.
    pub fn image(&self, index: usize) -> &[f32] {
        &self.values[self.starts[index]..self.starts[index + 1]]
    }

    /// Returns the classes of the clips at `indices`.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn targets(&self, indices: &[usize]) -> Vec<usize> {
        indices.iter().map(|index| self.clips[*index].label).collect()
    }
}

/// Returns channels, height and width of a `[height, width]` or `[channels, height, width]` array.
fn image_shape(shape: &[usize]) -> Result<[usize; 3]> {
    match *shape {
        [height, width] => Ok([1, height, width]),
        [channels, height, width] => Ok([channels, height, width]),
        _ => bail!("expected a spectrogram of shape [height, width], found {shape:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[usize], f32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, shape, value) in files {
            kit::npy::write(dir.path().join(path), shape, &vec![*value; shape.iter().product()])
                .unwrap();
        }
        dir
    }

    #[test]
    fn load_sorts_clips_and_labels() {
        let dir = folder(&[
            ("b c/2.npy", &[2, 3], 2.0),
            ("b c/1.npy", &[2, 3], 1.0),
            ("a/9.npy", &[2, 3], 9.0),
        ]);
        let set = Dataset::load(dir.path()).unwrap();
        assert_eq!(set.labels, ["a", "b c"]);
        let paths: Vec<_> = set.clips.iter().map(|clip| (clip.path.as_str(), clip.label)).collect();
        assert_eq!(paths, [("a/9.npy", 0), ("b c/1.npy", 1), ("b c/2.npy", 1)]);
        assert_eq!(set.uniform_shape().unwrap(), [1, 2, 3]);
        assert_eq!(set.image(2), [2.0; 6]);
        assert_eq!(set.targets(&[2, 0]), [1, 0]);
        let (values, shape) = set.values(&[1, 0]);
        assert_eq!(shape, [2, 1, 2, 3]);
        assert_eq!(values, [[1.0; 6], [9.0; 6]].as_flattened());
    }

    #[test]
    fn batches_have_equal_width() {
        let dir = folder(&[
            ("a/1.npy", &[2, 3], 1.0),
            ("a/2.npy", &[2, 3], 2.0),
            ("a/3.npy", &[2, 5], 3.0),
            ("b/4.npy", &[2, 3], 4.0),
        ]);
        let set = Dataset::load(dir.path()).unwrap();
        let batches =
            |size| set.batches(&[0, 1, 2, 3], size).map(<[usize]>::to_vec).collect::<Vec<_>>();
        assert_eq!(batches(8), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(batches(1), [[0], [1], [2], [3]]);
        assert_eq!(set.image(2), [3.0; 10]);
        assert_eq!(set.values(&[2]).1, [1, 1, 2, 5]);
        let error = set.uniform_shape().unwrap_err().to_string();
        assert!(error.starts_with("`a/3.npy` has 5 frames, but `a/1.npy` has 3"), "{error}");
    }

    #[test]
    fn invalid_clips_are_named() {
        for (files, expected) in [
            (
                vec![("a/1.npy", &[2, 3][..], 1.0), ("b/2.npy", &[3, 2][..], 1.0)],
                "b/2.npy` has 1 × 3 rows, but `",
            ),
            (
                vec![("a/1.npy", &[6][..], 1.0)],
                "expected a spectrogram of shape [height, width], found [6]",
            ),
            (vec![("a/1.npy", &[2, 3][..], f32::NAN)], "a/1.npy` contains NaN"),
            (vec![("a/1.npy", &[2, 3][..], f32::NEG_INFINITY)], "contains -inf"),
            (vec![("a/1.npy", &[2, 0][..], 0.0)], "a/1.npy` is empty"),
            (vec![("1.npy", &[2, 3][..], 0.0)], "no `.npy` file in the class folders"),
        ] {
            let dir = folder(&files);
            let error = format!("{:#}", Dataset::load(dir.path()).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
