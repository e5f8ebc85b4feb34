//! Keycloak's files: the distribution as it was unpacked, a build of it for each set of build options, a home for each server.
//!
//! `kc.sh build` takes half a minute of two cores and writes into `lib/quarkus`, some megabytes of 190. So it is done in a copy that links to
//! everything else, kept in Cargo's target folder, and done again only for another distribution or other options.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{KeycloakOptions, process};

/// The distribution to test with.
pub(super) fn find() -> Result<PathBuf, String> {
    let chosen = std::env::var_os("KEYCLOAK_HOME").map(PathBuf::from);
    let home = chosen.unwrap_or_else(|| crate::repository().join(".tools/keycloak"));
    match home.canonicalize() {
        Ok(home) if home.join("lib/quarkus-run.jar").is_file() => Ok(home),
        _ => Err(format!(
            "Keycloak is not at {}: run ./scripts/tools.sh keycloak, or set KEYCLOAK_HOME",
            home.display()
        )),
    }
}

/// The distribution, built for this prefix: what `start --optimized` wants.
pub(super) fn built(relative_path: &str) -> Result<PathBuf, String> {
    let distribution = find()?;
    let options =
        ["--db=dev-file", "--health-enabled=true", &format!("--http-relative-path={relative_path}")];
    let jar = distribution.join("lib/quarkus-run.jar");
    let modified = fs::metadata(&jar).and_then(|jar| jar.modified()).map_err(|e| e.to_string())?;
    let key = format!("{:x}", Sha256::digest(format!("{} {modified:?} {options:?}", distribution.display())));
    let place = super::cache().join(key);
    if place.is_dir() {
        return Ok(place);
    }
    let fresh = fs::create_dir_all(super::cache()).and_then(|()| tempfile::tempdir_in(super::cache()));
    let fresh = fresh.map_err(|e| format!("no place to build Keycloak in: {e}"))?;
    assemble(&distribution, fresh.path()).map_err(|e| format!("Keycloak cannot be copied: {e}"))?;
    let output = process::java(fresh.path()).arg("build").args(options).output();
    let output = output.map_err(|e| format!("Java does not run: {e}"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        return Err(format!("Keycloak does not build: {}", String::from_utf8_lossy(&text)));
    }
    // Another process may have been faster; its build is as good.
    match fs::rename(fresh.keep(), &place) {
        Err(e) if !place.is_dir() => Err(format!("{}: {e}", place.display())),
        _ => Ok(place),
    }
}

/// A copy of what a build changes, and links to what it does not.
fn assemble(distribution: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(distribution)? {
        let entry = entry?;
        if entry.file_name() != OsStr::new("lib") && entry.file_name() != OsStr::new("data") {
            symlink(entry.path(), to.join(entry.file_name()))?;
        }
    }
    fs::create_dir_all(to.join("lib/quarkus"))?;
    for entry in fs::read_dir(distribution.join("lib"))? {
        let entry = entry?;
        let copy = to.join("lib").join(entry.file_name());
        if entry.file_name() == OsStr::new("quarkus") {
            for file in fs::read_dir(entry.path())? {
                let file = file?;
                fs::copy(file.path(), copy.join(file.file_name()))?;
            }
        } else if entry.file_type()?.is_file() {
            fs::copy(entry.path(), copy)?;
        } else {
            symlink(entry.path(), copy)?;
        }
    }
    Ok(())
}

/// A home of a server's own: the build's files, data that begins with these realms, whom it trusts and what it finds where.
pub(super) fn home(built: &Path, home: &Path, options: &KeycloakOptions) -> io::Result<()> {
    for entry in fs::read_dir(built)? {
        let entry = entry?;
        symlink(entry.path(), home.join(entry.file_name()))?;
    }
    let import = home.join("data/import");
    fs::create_dir_all(&import)?;
    for realm in &options.realms {
        let name = realm["realm"].as_str().unwrap_or("realm");
        fs::write(import.join(format!("{name}-realm.json")), realm.to_string())?;
    }
    fs::write(home.join(process::AUTHORITY), crate::tls::authority_certificate())?;
    if !options.finds.is_empty() {
        fs::write(home.join(process::HOSTS), format!("127.0.0.1 localhost {}\n", options.finds.join(" ")))?;
    }
    Ok(())
}
