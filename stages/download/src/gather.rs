//! From a source to the class folders: which fetcher and which unpacker a source needs, and what is checked of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use kit::Events;
use kit::files::fresh_dir;
use kit::without_secrets;

use crate::audio::{Amount, Tally};
use crate::checksums::{self, Checksums, Found};
use crate::crew::share_out;
use crate::endpoint::{Endpoint, join};
use crate::folder;
use crate::manifest::{self, Item};
use crate::meter::Meter;
use crate::remote::{Reader, Remote, Transfers};
use crate::source::{KINDS, is_manifest};
use crate::unpack::unpack;

/// How often a transfer starts over because the file there was replaced meanwhile.
const REPLACED: u32 = 3;

/// What every source is gathered with.
pub(crate) struct Gathering<'a> {
    /// The folder for the class folders.
    pub(crate) out: &'a Path,
    pub(crate) amount: Amount,
    pub(crate) transfers: Transfers,
    /// The table of checksums.
    pub(crate) checksums: &'a Path,
    pub(crate) events: &'a Events,
}

impl Gathering<'_> {
    /// A folder, an archive or a manifest on this machine.
    ///
    /// # Errors
    /// None of them; what they cannot be used for.
    pub(crate) fn local(&self, path: &Path) -> Result<Tally> {
        let shown = path.to_string_lossy();
        if path.is_dir() {
            return folder::copy(path, self.out, self.amount, self.events);
        }
        ensure!(
            path.is_file(),
            "there is no folder or file `{shown}`; `download.source` is {KINDS}"
        );
        if is_manifest(&shown) {
            let base = path.parent().unwrap_or(Path::new(""));
            let place = |url: &str| match url.contains("://") {
                true => Place::Remote(url.to_owned()),
                false => Place::Local(base.join(url)),
            };
            return self.manifest(path, &shown, &place);
        }
        let file = File::open(path).with_context(|| format!("cannot open `{shown}`"))?;
        let found = unpack(file, &|_| Ok(()), self.out, self.amount, self.events);
        Ok(tally(&found.with_context(|| format!("cannot get the clips of `{shown}`"))?))
    }

    /// The first of some addresses that gives the clips.
    ///
    /// # Errors
    /// Those of the last address, after those of the others as warnings.
    pub(crate) fn remote(&self, addresses: &[String]) -> Result<Tally> {
        let Some((last, others)) = addresses.split_last() else {
            bail!("BUG: a source without address")
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
            let meter = Meter::new(None);
            let table = self.open(address, &meter)?;
            table.whole()?;
            let place = |url: &str| Place::Remote(join(address, url));
            return self.manifest(table.path(), &without_secrets(address), &place);
        }
        let shown = without_secrets(address);
        for _ in 0..REPLACED {
            if let Some(tally) = self.archive(address)? {
                return Ok(tally);
            }
            kit::warn!("`{shown}` was replaced during the transfer");
        }
        bail!("`{shown}` was replaced again and again")
    }

    /// The clips of the archive at `address`; nothing if it was replaced meanwhile.
    fn archive(&self, address: &str) -> Result<Option<Tally>> {
        let meter = Meter::new(Some(self.events));
        let remote = self.open(address, &meter)?;
        let bring = |ranges: &[std::ops::Range<u64>]| remote.bring(ranges);
        let found = match unpack(Reader::new(&remote), &bring, self.out, self.amount, self.events) {
            Ok(found) => found,
            Err(_) if remote.has_changed() => return Ok(None),
            Err(error) => {
                return Err(error.context(format!("cannot get the clips of `{}`", remote.shown())));
            }
        };
        if let Err(error) =
            Checksums::read(self.checksums)?.enforce(&without_secrets(address), &found)
        {
            // What was fetched is not to be met again.
            remote.forget()?;
            return Err(error);
        }
        Ok(Some(tally(&found)))
    }

    fn open<'a>(&self, address: &str, meter: &'a Meter<'a>) -> Result<Remote<'a>> {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Remote::open(Endpoint::of(address, &env)?, &self.transfers, meter)
    }

    /// The clips that the manifest at `path` names, each where `place` says that its url leads.
    fn manifest(
        &self,
        path: &Path,
        source: &str,
        place: &(dyn Fn(&str) -> Place + Sync),
    ) -> Result<Tally> {
        let explain = || format!("the manifest `{source}` is not usable");
        let items = manifest::items(&kit::csv::read(path)?).with_context(explain)?;
        let items = self.amount.take(items, |item| &item.label);
        let brought = Mutex::new(Vec::new());
        let (done, total) = (AtomicU64::new(0), items.len() as u64);
        share_out(items, |item| {
            let from = self
                .bring(place(&item.url))
                .with_context(|| format!("`{}/{}`", item.label, item.path))?;
            brought.lock().unwrap_or_else(|poison| poison.into_inner()).push((item, from));
            self.events.progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            anyhow::Ok(())
        })?;
        let mut brought = brought.into_inner().unwrap_or_else(|poison| poison.into_inner());
        brought.sort();
        fresh_dir(self.out)?;
        let mut found = Found::new();
        for (item, from) in &brought {
            found.insert(format!("{}/{}", item.label, item.path), self.put(item, from)?);
        }
        Checksums::read(self.checksums)?.enforce(source, &found)?;
        Ok(tally(&found))
    }

    /// The file that a url of a manifest leads to, on this machine.
    fn bring(&self, place: Place) -> Result<PathBuf> {
        match place {
            Place::Local(path) => Ok(path),
            Place::Remote(address) => {
                let meter = Meter::new(None);
                let remote = self.open(&address, &meter)?;
                remote.whole()?;
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
                "`{}` is not what the manifest says: its blake3 is {digest}, not {expected}",
                without_secrets(&item.url)
            )),
            _ => Ok(digest),
        }
    }
}

/// Where a url of a manifest leads.
enum Place {
    Local(PathBuf),
    Remote(String),
}

fn tally(found: &Found) -> Tally {
    Tally::of(found.keys().map(|path| path.split('/').next().unwrap_or_default()))
}
