//! The clips of a folder of spectrograms, all in memory, as batches of tensors.
//!
//! A clip is one `.npy` file, its label the name of its class folder. Knows nothing about how the
//! spectrograms were made or which of them train.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use burn::tensor::{Device, Int, Tensor, TensorData};
use kit::files;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clip {
    /// The path below the folder of spectrograms, with `/`.
    pub path: String,
    /// The class: an index into the labels.
    pub label: usize,
}

/// Clips of one shape, with their values.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The names of the classes.
    pub labels: Vec<String>,
    /// The clips, in the order of their values.
    pub clips: Vec<Clip>,
    /// Channels, height and width of every clip.
    pub shape: [usize; 3],
    values: Vec<f32>,
}

impl Dataset {
    /// Reads every `.npy` file below a folder of class folders. The classes are sorted by name.
    ///
    /// # Errors
    /// No such folder; no clip in it; as [`Dataset::read`].
    pub fn load(root: impl AsRef<Path>) -> Result<Dataset> {
        let root = root.as_ref();
        let found = files::class_files(root, |path| files::has_extension(path, &["npy"]))?;
        let mut labels: Vec<String> = found.iter().map(|file| file.label.clone()).collect();
        labels.dedup();
        let mut clips = Vec::with_capacity(found.len());
        for file in found {
            let inside = file.path.strip_prefix(root).unwrap_or(&file.path);
            let path = inside.to_str().with_context(|| {
                format!("`{}` has a name that is not UTF-8: rename it", file.path.display())
            })?;
            let label = labels.iter().position(|label| *label == file.label).unwrap_or_default();
            clips.push(Clip { path: path.to_owned(), label });
        }
        ensure!(!clips.is_empty(), "no `.npy` file in the class folders of `{}`", root.display());
        Dataset::read(root, labels, clips)
    }

    /// Reads these clips.
    ///
    /// # Errors
    /// No clips; a file that is missing, is not two-dimensional, has another shape than the first, or holds
    /// a value that is not finite. The message names it.
    pub fn read(root: impl AsRef<Path>, labels: Vec<String>, clips: Vec<Clip>) -> Result<Dataset> {
        let root = root.as_ref();
        let mut shape = None;
        let mut values = Vec::new();
        for clip in &clips {
            let path = root.join(&clip.path);
            let array = kit::npy::read(&path)?;
            let found = image_shape(&array.shape).with_context(|| format!("`{}`", path.display()))?;
            let expected = *shape.get_or_insert(found);
            if found != expected {
                bail!(
                    "`{}` has the shape {found:?}, but `{}` has {expected:?}: one set has one shape",
                    path.display(),
                    root.join(&clips[0].path).display()
                );
            }
            if let Some(value) = array.data.iter().find(|value| !value.is_finite()) {
                bail!("`{}` holds {value}, which no network can learn from", path.display());
            }
            values.extend_from_slice(&array.data);
        }
        let shape = shape.context("there is no clip to read")?;
        Ok(Dataset { labels, clips, shape, values })
    }

    /// The clips at `indices` as one tensor, `[N, channels, height, width]`.
    ///
    /// # Panics
    /// An index that is no clip's.
    pub fn images(&self, indices: &[usize], device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.shape;
        let mut values = Vec::with_capacity(indices.len() * self.values_each());
        for index in indices {
            values.extend_from_slice(self.image(*index));
        }
        Tensor::from_data(TensorData::new(values, [indices.len(), channels, height, width]), device)
    }

    /// The values of one clip, in C order.
    ///
    /// # Panics
    /// An index that is no clip's.
    pub fn image(&self, index: usize) -> &[f32] {
        &self.values[index * self.values_each()..][..self.values_each()]
    }

    /// The classes of the clips at `indices`.
    ///
    /// # Panics
    /// An index that is no clip's.
    pub fn targets(&self, indices: &[usize]) -> Vec<usize> {
        indices.iter().map(|index| self.clips[*index].label).collect()
    }

    fn values_each(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Classes as a tensor of shape `[N]`.
pub fn target_tensor(targets: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = targets.iter().map(|target| *target as i32).collect();
    Tensor::from_data(TensorData::new(values, [targets.len()]), device)
}

/// Channels, height and width of an array: `[height, width]` or `[channels, height, width]`.
fn image_shape(shape: &[usize]) -> Result<[usize; 3]> {
    match *shape {
        [height, width] => Ok([1, height, width]),
        [channels, height, width] => Ok([channels, height, width]),
        _ => bail!("the shape {shape:?} is not that of a spectrogram, [height, width]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[usize], f32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, shape, value) in files {
            kit::npy::write(dir.path().join(path), shape, &vec![*value; shape.iter().product()]).unwrap();
        }
        dir
    }

    #[test]
    fn clips_come_in_order_with_their_labels() {
        let dir =
            folder(&[("b c/2.npy", &[2, 3], 2.0), ("b c/1.npy", &[2, 3], 1.0), ("a/9.npy", &[2, 3], 9.0)]);
        let set = Dataset::load(dir.path()).unwrap();
        assert_eq!(set.labels, ["a", "b c"]);
        let paths: Vec<_> = set.clips.iter().map(|clip| (clip.path.as_str(), clip.label)).collect();
        assert_eq!(paths, [("a/9.npy", 0), ("b c/1.npy", 1), ("b c/2.npy", 1)]);
        assert_eq!(set.shape, [1, 2, 3]);
        assert_eq!(set.image(2), [2.0; 6]);
        assert_eq!(set.targets(&[2, 0]), [1, 0]);
        let images = set.images(&[1, 0], &Device::flex());
        assert_eq!(images.dims(), [2, 1, 2, 3]);
        assert_eq!(images.into_data().iter::<f32>().nth(6), Some(9.0));
    }

    #[test]
    fn unusable_clips_are_named() {
        for (files, expected) in [
            (
                vec![("a/1.npy", &[2, 3][..], 1.0), ("b/2.npy", &[3, 2][..], 1.0)],
                "b/2.npy` has the shape [1, 3, 2]",
            ),
            (vec![("a/1.npy", &[6][..], 1.0)], "the shape [6] is not that of a spectrogram"),
            (vec![("a/1.npy", &[2, 3][..], f32::NAN)], "a/1.npy` holds NaN"),
            (vec![("a/1.npy", &[2, 3][..], f32::NEG_INFINITY)], "holds -inf"),
            (vec![("1.npy", &[2, 3][..], 0.0)], "no `.npy` file in the class folders"),
        ] {
            let dir = folder(&files);
            let error = format!("{:#}", Dataset::load(dir.path()).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
