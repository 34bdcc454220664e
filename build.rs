//! Compresses the files of the dashboard, so that the program contains them once and small.
//!
//! Writes `assets.rs`: a sorted table of (path below `/assets/`, compressed content).

#[cfg(feature = "ui")]
fn main() -> std::io::Result<()> {
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        panic!("BUG: cargo sets OUT_DIR for build scripts");
    };
    let mut found = Vec::new();
    for (folder, prefix) in [("src/serve/web", ""), ("src/vendor", "vendor/")] {
        println!("cargo::rerun-if-changed={folder}");
        assets::list(Path::new(folder), prefix, &mut found)?;
    }
    found.sort();
    let mut table = String::from("&[\n");
    for (nth, (path, file)) in found.iter().enumerate() {
        let name = format!("asset-{nth}.gz");
        fs::write(out.join(&name), assets::compressed(&fs::read(file)?)?)?;
        table += &format!("    ({path:?}, include_bytes!({name:?})),\n");
    }
    fs::write(out.join("assets.rs"), table + "]\n")
}

#[cfg(feature = "ui")]
mod assets {
    use std::io::{Result, Write as _};
    use std::path::{Path, PathBuf};

    /// Adds the files below a folder with their paths as assets.
    pub(crate) fn list(
        folder: &Path,
        prefix: &str,
        found: &mut Vec<(String, PathBuf)>,
    ) -> Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if name.ends_with(".md") {
                // For those who write the others.
            } else if entry.file_type()?.is_dir() {
                list(&entry.path(), &format!("{name}/"), found)?;
            } else {
                found.push((name, entry.path()));
            }
        }
        Ok(())
    }

    pub(crate) fn compressed(bytes: &[u8]) -> Result<Vec<u8>> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes)?;
        encoder.finish()
    }
}

#[cfg(not(feature = "ui"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
