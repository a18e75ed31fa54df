//! pitlane-core.
