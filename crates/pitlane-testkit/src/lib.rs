//! pitlane-testkit.
