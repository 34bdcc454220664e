//! Collects the clips of a source in class folders.
//!
//! Selects the fetcher and the unpacker that the source needs, and verifies the checksums.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use kit::Events;
use kit::files::fresh_dir;
use kit::without_secrets;

use crate::audio::Tally;
use crate::checksums::{self, Checksums, Found};
use crate::endpoint::{Endpoint, join};
use crate::folder;
use crate::manifest::{self, Item};
use crate::parallel::try_for_each;
use crate::progress::Progress;
use crate::remote::{Reader, Remote, Transfers};
use crate::selection::Choice;
use crate::source::{KINDS, is_manifest};
use crate::unpack::unpack;

/// Number of times a transfer is tried while the server keeps replacing the file.
const MAX_REPLACED: u32 = 3;

/// Collects clips from local and remote sources.
pub(crate) struct Collector<'a> {
    /// Output folder, which gets the class folders.
    pub(crate) out: &'a Path,
    pub(crate) choice: Choice,
    pub(crate) transfers: Transfers,
    /// Path of the checksum table.
    pub(crate) checksums: &'a Path,
    pub(crate) events: &'a Events,
}

impl Collector<'_> {
    /// Collects the clips of a local folder, archive or manifest.
    ///
    /// # Errors
    /// If `path` is none of these, or cannot be used.
    pub(crate) fn local(&self, path: &Path) -> Result<Tally> {
        let shown = path.to_string_lossy();
        if path.is_dir() {
            return folder::copy(path, self.out, self.choice, self.events);
        }
        ensure!(path.is_file(), "`{shown}` does not exist; `download.source` must be {KINDS}");
        if is_manifest(&shown) {
            let base = path.parent().unwrap_or(Path::new(""));
            let place = |url: &str| match url.contains("://") {
                true => Place::Remote(url.to_owned()),
                false => Place::Local(base.join(url)),
            };
            return self.manifest(path, &shown, &place);
        }
        let file = File::open(path).with_context(|| format!("cannot open `{shown}`"))?;
        let found = unpack(file, &|_| Ok(()), self.out, self.choice, self.events);
        Ok(tally(&found.with_context(|| format!("cannot unpack the clips of `{shown}`"))?))
    }

    /// Collects the clips from the first address that works.
    ///
    /// # Errors
    /// The error of the last address; those of the others are printed as warnings.
    pub(crate) fn remote(&self, addresses: &[String]) -> Result<Tally> {
        let Some((last, others)) = addresses.split_last() else {
            bail!("BUG: a source without addresses")
        };
        for address in others {
            match self.address(address) {
                Ok(tally) => return Ok(tally),
                Err(error) => kit::warn!("{error:#}; trying `{}`", without_secrets(last)),
            }
        }
        self.address(last)
    }

    fn address(&self, address: &str) -> Result<Tally> {
        if is_manifest(address) {
            let progress = Progress::new(None);
            let table = self.open(address, &progress)?;
            table.fetch_all()?;
            let place = |url: &str| Place::Remote(join(address, url));
            return self.manifest(table.path(), &without_secrets(address), &place);
        }
        let shown = without_secrets(address);
        for _ in 0..MAX_REPLACED {
            if let Some(tally) = self.archive(address)? {
                return Ok(tally);
            }
            kit::warn!("`{shown}` was replaced during the transfer");
        }
        bail!("`{shown}` was replaced repeatedly")
    }

    /// Collects the clips of the archive at `address`; `None` if it was replaced meanwhile.
    fn archive(&self, address: &str) -> Result<Option<Tally>> {
        let progress = Progress::new(Some(self.events));
        let remote = self.open(address, &progress)?;
        let fetch = |ranges: &[std::ops::Range<u64>]| remote.fetch(ranges);
        let found = match unpack(Reader::new(&remote), &fetch, self.out, self.choice, self.events) {
            Ok(found) => found,
            Err(_) if remote.has_changed() => return Ok(None),
            Err(error) => {
                return Err(
                    error.context(format!("cannot unpack the clips of `{}`", remote.shown()))
                );
            }
        };
        if let Err(error) =
            Checksums::read(self.checksums)?.enforce(&without_secrets(address), &found)
        {
            // The next run must not reuse these bytes.
            remote.reset()?;
            return Err(error);
        }
        Ok(Some(tally(&found)))
    }

    fn open<'a>(&self, address: &str, progress: &'a Progress<'a>) -> Result<Remote<'a>> {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Remote::open(Endpoint::of(address, &env)?, &self.transfers, progress)
    }

    /// Collects the clips of the manifest at `path`; `place` resolves a URL to a location.
    fn manifest(
        &self,
        path: &Path,
        source: &str,
        place: &(dyn Fn(&str) -> Place + Sync),
    ) -> Result<Tally> {
        let explain = || format!("cannot use the manifest `{source}`");
        let items = manifest::items(&kit::csv::read(path)?).with_context(explain)?;
        let items = self.choice.amount.take(items, |item| &item.label);
        let fetched = Mutex::new(Vec::new());
        let (done, total) = (AtomicU64::new(0), items.len() as u64);
        try_for_each(items, |item| {
            let from = self
                .fetch(place(&item.url))
                .with_context(|| format!("`{}/{}`", item.label, item.path))?;
            fetched.lock().unwrap_or_else(|poison| poison.into_inner()).push((item, from));
            self.events.progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            anyhow::Ok(())
        })?;
        let mut fetched = fetched.into_inner().unwrap_or_else(|poison| poison.into_inner());
        fetched.sort();
        fresh_dir(self.out)?;
        let mut found = Found::new();
        for (item, from) in &fetched {
            found.insert(format!("{}/{}", item.label, item.path), self.put(item, from)?);
        }
        Checksums::read(self.checksums)?.enforce(source, &found)?;
        Ok(tally(&found))
    }

    /// Returns the local path of a clip, and downloads it first if it is remote.
    fn fetch(&self, place: Place) -> Result<PathBuf> {
        match place {
            Place::Local(path) => Ok(path),
            Place::Remote(address) => {
                let progress = Progress::new(None);
                let remote = self.open(&address, &progress)?;
                remote.fetch_all()?;
                Ok(remote.path().to_owned())
            }
        }
    }

    fn put(&self, item: &Item, from: &Path) -> Result<blake3::Hash> {
        let to = self.out.join(&item.label).join(&item.path);
        let explain = || format!("cannot copy `{}` to `{}`", from.display(), to.display());
        fs::create_dir_all(to.parent().unwrap_or(self.out)).with_context(explain)?;
        let mut content = File::open(from).with_context(explain)?;
        let digest =
            checksums::copy(&mut content, &mut File::create_new(&to).with_context(explain)?)?;
        match &item.digest {
            Some(expected) if *expected != digest.to_string() => Err(anyhow!(
                "`{}` does not match the manifest: its blake3 is {digest}, not {expected}",
                without_secrets(&item.url)
            )),
            _ => Ok(digest),
        }
    }
}

/// Location of a manifest's clip.
enum Place {
    Local(PathBuf),
    Remote(String),
}

fn tally(found: &Found) -> Tally {
    Tally::of(found.keys().map(|path| path.split('/').next().unwrap_or_default()))
}
