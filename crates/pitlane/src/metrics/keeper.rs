use std::{sync::atomic::Ordering, time::Duration};

use tokio::{runtime::Handle, time::sleep};

use crate::cache::{Caches, WeakCaches};

/// How often the recorder is brought up to date.
const INTERVAL: Duration = Duration::from_secs(1);

/// Brings the recorder up to date from here on, unless a task does so already or there is no
/// runtime to do it on.
pub(super) fn keep_up(caches: &Caches) {
    let kept = &caches.shared.metrics.kept;
    // Nearly every request ends here.
    if kept.load(Ordering::Relaxed) {
        return;
    }
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    if !kept.swap(true, Ordering::AcqRel) {
        let kept = Kept(caches.downgrade());
        runtime.spawn(keep(kept));
    }
}

/// The registry of a task that must not keep it alive.
struct Kept(WeakCaches);

async fn keep(kept: Kept) {
    while let Some(caches) = kept.0.upgrade() {
        caches.record_metrics();
        drop(caches);
        sleep(INTERVAL).await;
    }
}

/// The task may end with its runtime while the caches live on: then another may begin.
impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(shared) = self.0.shared.upgrade() {
            shared.metrics.kept.store(false, Ordering::Release);
        }
    }
}
