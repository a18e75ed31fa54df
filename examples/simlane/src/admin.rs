//! The dashboard of the caches, at `/admin/cache/`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::Router;
use pitlane::Caches;
use pitlane_admin::{Admin, AdminToken};
use tokio::sync::watch;

use crate::BoxError;

/// Where the dashboard is.
pub(crate) const MOUNT: &str = "/admin/cache";

/// Who may see it: whoever can read the file.
#[derive(Debug)]
pub(crate) struct Door {
    token: AdminToken,
    file: PathBuf,
    /// Whether the file is ours, and goes with us.
    is_own: bool,
}

impl Door {
    /// Reads the token, or makes one in a new file that only its owner can read.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, BoxError> {
        if let Some(file) = file {
            return Ok(Self {
                token: AdminToken::from_file(file)?,
                file: file.to_owned(),
                is_own: false,
            });
        }
        let mut name = [0; 8];
        getrandom::fill(&mut name)?;
        let name = format!("simlane-{:016x}.token", u64::from_be_bytes(name));
        let file = std::env::temp_dir().join(name);
        Ok(Self {
            token: AdminToken::create_file(&file)?,
            file,
            is_own: true,
        })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if self.is_own {
            // What is left behind opens nothing any more.
            let _ = fs::remove_file(&self.file);
        }
    }
}

/// Puts the dashboard beside the site, which it asks for what it explains. Its streams end when
/// the server is to stop, so that nobody who watches holds that up.
pub(crate) fn mount(
    site: Router,
    caches: &Caches,
    door: &Door,
    address: SocketAddr,
    stopped: watch::Receiver<bool>,
) -> Router {
    let admin = Admin::new(caches.clone(), door.token.clone())
        .at(MOUNT)
        .bound(address)
        .stopping(stopped)
        .app(site.clone());
    site.merge(admin.router())
}
